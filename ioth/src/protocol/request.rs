//! A request, as its command sees it.

/// A request: its arguments are in the read buffer or, if it is an inline one, kept by the connection.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The arguments; the first one is the command's name.
    pub args: &'a [&'a [u8]],
    /// Bytes that the request takes in the buffer.
    pub length: usize,
}

impl<'a> Request<'a> {
    /// One argument, if there is one; 0 is the command's name.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.args.get(index).copied()
    }

    /// Copies of all arguments.
    pub fn owned_args(&self) -> Vec<Vec<u8>> {
        owned(self.args)
    }
}

/// Copies of arguments, for whoever needs them longer than the read buffer keeps them.
pub fn owned(args: &[&[u8]]) -> Vec<Vec<u8>> {
    args.iter().map(|arg| arg.to_vec()).collect()
}

/// Copied arguments as commands take them.
pub fn borrowed(args: &[Vec<u8>]) -> Vec<&[u8]> {
    args.iter().map(Vec::as_slice).collect()
}
