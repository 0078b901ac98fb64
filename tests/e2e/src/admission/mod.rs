//! What the API server refuses at the door, and with which words.
//!
//! One file of cases for each kind. `rules` checks that every CEL rule of the CRD has a case; `schema` breaks every
//! constraint of the schema by itself, so that none needs a case. Both compare each answer with what is said without an
//! API server.

mod agents;
mod ask;
mod cases;
mod examples;
mod offline;
mod rules;
mod schema;

use crate::harness::Story;

/// All stories of admission.
pub fn all() -> Vec<Story> {
    let mut stories = vec![examples::story(), agents::story()];
    for kind in cases::KINDS {
        stories.push(rules::story(kind));
        stories.push(schema::story(kind));
    }
    stories
}
