//! Who has a command executed, and what follows from that: said once for every command, where it begins.

/// See the [module](self).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A request of a client.
    Client,
    /// A waiting client's command that is run again.
    Waiter,
    /// A command of a transaction, which is executed as one: room was made before it began.
    Exec,
    /// The same where there was no room: nothing in it needs memory but scripts, as far as they turn out to.
    ExecWithoutRoom,
    /// A command of a script, which is executed as one: room was made before its first write.
    Script,
    /// The program that embeds the server, or a command of the control plane that works with data commands.
    Internal,
    /// The primary, whose writes a replica applies, or this server's own journal, read at its start. What has expired is still
    /// there for them: they say when it goes.
    Replica,
}

impl Origin {
    /// Whether there is a client that can wait for a key. Where nobody can, a blocking command answers as if its time were
    /// over.
    pub fn may_wait(self) -> bool {
        matches!(self, Origin::Client | Origin::Waiter)
    }

    /// Whether a command that needs memory has to find room, or make it, by itself.
    #[inline]
    pub fn makes_room(self) -> bool {
        !matches!(self, Origin::Exec | Origin::ExecWithoutRoom | Origin::Script | Origin::Replica)
    }

    /// Whether the command says what has happened elsewhere, so that nothing of it is to be refused or chosen anew.
    pub fn must_be_obeyed(self) -> bool {
        self == Origin::Replica
    }

    /// Whether what has expired is gone for the command.
    #[inline]
    pub fn expires(self) -> bool {
        self != Origin::Replica
    }

    /// Whether what the command does is recorded: what a primary sends is handed on as it is.
    #[inline]
    pub fn is_recorded(self) -> bool {
        self != Origin::Replica
    }

    /// Whether what comes out must not depend on the order in which a table happens to have its elements: others may build
    /// on it.
    pub fn wants_an_order(self) -> bool {
        !self.may_wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_and_scripts_have_made_room_and_only_clients_wait() {
        use Origin::{Client, Exec, ExecWithoutRoom, Internal, Replica, Script, Waiter};
        let all = [Client, Waiter, Exec, ExecWithoutRoom, Script, Internal, Replica];
        assert_eq!(all.map(Origin::makes_room), [true, true, false, false, false, true, false]);
        assert_eq!(all.map(Origin::may_wait), [true, true, false, false, false, false, false]);
        assert_eq!(all.map(Origin::expires), [true, true, true, true, true, true, false]);
    }
}
