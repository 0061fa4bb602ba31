//! That FLUSHALL was executed, for the control plane: where snapshots are wanted it takes one at once, or the last one would
//! bring everything back after a crash.
//!
//! Noted once until it is looked at, so that who flushes again and again rings once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

/// See the [module](self).
#[derive(Default)]
pub struct Emptied {
    is_noted: AtomicBool,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Emptied {
    /// Says how the control plane is woken; once.
    pub fn set_bell(&self, bell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.bell.set(bell);
    }

    /// Everything is gone.
    pub fn note(&self) {
        if !self.is_noted.swap(true, Ordering::SeqCst) {
            if let Some(ring) = self.bell.get() {
                ring();
            }
        }
    }

    /// Whether that was so since the last time.
    pub fn take(&self) -> bool {
        self.is_noted.load(Ordering::Relaxed) && self.is_noted.swap(false, Ordering::SeqCst)
    }
}
