//! The scripts of images in a root of Debian's packages, of which both are tested: the instances' and the executor's.

mod ami;
mod executor;
mod machine;
mod shelf;
