//! A machine at the other end of a connection: for tests, behind the feature `fake-machine`, never in a release.
//!
//! The program is the real one, from its command line to its exit code; only the calls of [`crate::host`] go over a
//! loopback connection to whoever plays the machine: a test, or winfleet. Each call is one line of JSON, and so is its
//! answer. Concerns that are named in `WINDLASS_REAL` stay with the real machine.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `WINDLASS_MACHINE` | address of the machine, `127.0.0.1:<port>`; without it nothing here is used |
//! | `WINDLASS_NODE` | the node's name, as in any agent pod |
//! | `WINDLASS_FOLDER` | the agent's own folder |
//! | `WINDLASS_REAL` | concerns of the real machine, `Files,Registry,Services` |
//! | `WINDLASS_HURRY` | how many times shorter each wait is |

mod host;
mod platform;
mod serve;
mod wire;

pub use platform::FakePlatform;
pub use serve::{serve, serve_once};
pub use wire::{Answer, Call};
