//! epoll, with nanosecond timeouts where the kernel has them.
//!
//! Open loop at 50 000 requests a second means a send every 20 us, so the millisecond timeouts of `epoll_wait` would
//! bunch the sends. Spinning until the next send is due was rejected: it takes a whole core, which on a small machine
//! is the server's.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Events taken a poll; the rest stay ready for the next one.
const EVENTS_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub token: usize,
    pub readable: bool,
    pub writable: bool,
}

pub struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
    has_nanosecond_timeout: bool,
}

impl Poller {
    pub fn new() -> io::Result<Poller> {
        // SAFETY: no pointers are passed; a negative result is handled below.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just created and nobody else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        Ok(Poller { epoll, events, has_nanosecond_timeout: true })
    }

    pub fn add(&self, descriptor: RawFd, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, token, false)
    }

    /// Writability is asked for only while something is unsent: a socket is nearly always writable.
    pub fn want_writable(&self, descriptor: RawFd, token: usize, wanted: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, descriptor, token, wanted)
    }

    fn control(&self, operation: libc::c_int, descriptor: RawFd, token: usize, writable: bool) -> io::Result<()> {
        let interest = if writable { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
        let mut event = libc::epoll_event { events: interest as u32, u64: token as u64 };
        // SAFETY: `event` lives through the call, and the kernel checks both descriptors.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, descriptor, &mut event) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits and returns what is ready, nothing after the timeout or a signal.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let count = self.wait_once(timeout);
        if count >= 0 {
            return Ok(count as usize);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => Ok(0),
            // Some container policies answer EPERM to system calls that they do not know.
            Some(libc::ENOSYS | libc::EPERM) if self.has_nanosecond_timeout => {
                self.has_nanosecond_timeout = false;
                self.wait(timeout)
            }
            _ => Err(error),
        }
    }

    fn wait_once(&mut self, timeout: Duration) -> libc::c_long {
        let (epoll, events, room) = (self.epoll.as_raw_fd(), self.events.as_mut_ptr(), EVENTS_MAX as libc::c_int);
        if self.has_nanosecond_timeout {
            let limit = libc::timespec {
                tv_sec: timeout.as_secs() as libc::time_t,
                tv_nsec: timeout.subsec_nanos() as libc::c_long,
            };
            let no_mask = std::ptr::null::<libc::sigset_t>();
            // SAFETY: `events` has room for `room` events, `limit` lives through the call, a null mask is allowed.
            unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, events, room, &limit, no_mask, 0usize) }
        } else {
            // SAFETY: `events` has room for `room` events.
            unsafe { libc::epoll_wait(epoll, events, room, timeout.as_millis() as libc::c_int).into() }
        }
    }

    /// The `index`-th of the events that the last [`Poller::wait`] returned.
    pub fn ready(&self, index: usize) -> Ready {
        let event = self.events[index];
        let flags = event.events as libc::c_int;
        Ready {
            token: event.u64 as usize,
            // A hang-up or an error is found out by reading.
            readable: flags & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR) != 0,
            writable: flags & libc::EPOLLOUT != 0,
        }
    }
}

/// Timers of this thread fire when they are due instead of up to 50 us later.
pub fn sharpen_timers() {
    // SAFETY: no pointers are passed; failing only costs precision.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}
