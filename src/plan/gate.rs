//! Gates.

/// What holds a node back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold<'a> {
    /// x
    Behind(&'a str),
}
