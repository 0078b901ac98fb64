//! Objects of the cluster that stand in the scenario itself.

use serde_json::Value;

/// One object as it is written; who applies it checks it.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The object.
    pub object: Value,
}
