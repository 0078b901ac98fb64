//! The cases, in the order of the table.

mod identity;
mod lost;
mod order;
mod refusals;
mod restores;
mod snapshots;
mod sweep;

use crate::Case;

/// All cases.
pub fn all() -> Vec<Case> {
    [snapshots::CASES, lost::CASES, refusals::CASES, identity::CASES, restores::CASES, sweep::CASES, order::CASES]
        .concat()
}

/// Makes a case of an async function.
macro_rules! case {
    ($name:literal, $run:path, $says:literal) => {
        crate::Case { name: $name, says: $says, run: |bench| Box::pin($run(bench)) }
    };
}
use case;
