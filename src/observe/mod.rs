//! The read side: what the API server has, as stores and as plain facts.
//!
//! Each kind is watched once. A store answers without a request, and may be a moment behind: whoever destroys something
//! asks the API server again first, and an object that a store does not have is asked for once more before it is
//! believed to be gone.

mod change;
mod follow;
pub mod node;
mod phases;
mod reading;
mod stores;

pub use change::{Change, Watched};
pub use follow::{Feed, WATCH_SECONDS, Witness};
pub use phases::Phases;
pub use reading::Reading;
pub use stores::{Feeds, Parsed, Stores, StoresError};
