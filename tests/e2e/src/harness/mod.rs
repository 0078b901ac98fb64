//! What stories are told with.
//!
//! | Module | For |
//! |---|---|
//! | `suite` | all stories as tests of one runner |
//! | `story` | a story: its name, its machines, where it is told |
//! | `stage` | a running cluster that stories share |
//! | `scene` | one story's part of it: its names, its manifests |
//! | `rollout` | one rollout of a story: waiting for it, asking after its nodes |
//! | `workload` | Deployments with a PodDisruptionBudget on a story's machines |
//! | `lookout` | what the API server has, watched, so that waiting costs no requests |
//! | `witness` | budgets that must hold at every moment, watched from beginning to end |
//! | `sim` | what really happened inside the machines |
//! | `prometheus` | a Prometheus of which a story says what it answers |
//! | `rubbish` | a server that answers everything with a web page |
//! | `echo` | a server that sends back what it was sent |
//! | `eventually` | waiting with a deadline, for what cannot be watched |
//! | `report` | what a person needs when a story fails |

mod echo;
mod eventually;
mod lookout;
mod prometheus;
mod report;
mod rollout;
mod rubbish;
mod scene;
mod sim;
mod stage;
mod story;
mod suite;
mod witness;
mod workload;

pub use echo::{EchoServer, Form};
pub use eventually::{Sight, eventually, not_yet, seen};
pub use lookout::Lookout;
pub use prometheus::FakePrometheus;
pub use rollout::{Rollout, condition, reason_of, steps};
pub use rubbish::RubbishServer;
pub use scene::{Answer, PATIENCE, Scene, annotation, is_cordoned, is_tainted, merged};
pub use stage::{BUILD_BEFORE, OPERATOR};
pub use story::{RING_LABEL, STORY_LABEL, Story, Venue};
pub use suite::Suite;
pub use witness::Witness;
pub use workload::Workload;
