//! The command, see the library.

fn main() {}
