//! How the API misbehaves, for tests of its callers.

use super::{SharedWorld, wire::Failure};
use crate::{
    model::{Code, one_of},
    scenario::{HypervisorEffect, Period, Throttle},
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

/// How `/v1` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mode {
    /// Every request is answered with 200 and a page that is no answer; nothing is done.
    pub rubbish: bool,
    /// Every request is answered with 503; nothing is done.
    pub down: bool,
    /// Every request is done at once, and answered this much later.
    pub answers_late: Period,
    /// When set, of each n requests in a row one is answered with 429; nothing is done.
    pub throttle: Option<Throttle>,
    /// Requests so far.
    #[serde(skip)]
    pub(super) requests: u32,
}

/// What to do with a request.
enum Treatment {
    Serve { late: Period },
    Rubbish,
    Refuse(Failure),
}

impl Mode {
    /// Treats a request as this mode and the scenario's troubles of the moment say.
    fn treat_next(&self, troubles: &[HypervisorEffect]) -> Treatment {
        let mut mode = self.clone();
        for trouble in troubles {
            match *trouble {
                HypervisorEffect::Down => mode.down = true,
                HypervisorEffect::Throttled(throttle) => mode.throttle = Some(throttle),
                HypervisorEffect::AnswersLate { by } => mode.answers_late = mode.answers_late.plus(by),
                // The model makes its tasks slow.
                HypervisorEffect::Slow { .. } => {}
            }
        }
        mode.treat()
    }

    fn treat(&self) -> Treatment {
        if self.down {
            return Treatment::Refuse(Failure::new(Code::Unavailable, "the hypervisor is down"));
        }
        if self.rubbish {
            return Treatment::Rubbish;
        }
        match self.throttle {
            Some(throttle) if one_of(0, u64::from(self.requests), u64::from(throttle.every_nth.get())) => {
                let failure = Failure::new(Code::Throttled, "too many requests");
                Treatment::Refuse(failure.retry_after(throttle.retry_after))
            }
            _ => Treatment::Serve { late: self.answers_late },
        }
    }
}

/// The layer in front of `/v1` that misbehaves as the mode says.
pub(super) async fn misbehave(State(world): State<SharedWorld>, request: Request, next: Next) -> Response {
    let troubles = world.with(|world, now| world.hypervisor_troubles(now).collect::<Vec<_>>());
    let treat = |mode: &mut Mode| {
        let treatment = mode.treat_next(&troubles);
        mode.requests = mode.requests.wrapping_add(1);
        treatment
    };
    match world.with_mode(treat) {
        Treatment::Refuse(failure) => failure.into_response(),
        Treatment::Rubbish => Html("<html><body>It works!</body></html>").into_response(),
        Treatment::Serve { late } => {
            let response = next.run(request).await;
            tokio::time::sleep(late.to_std()).await;
            response
        }
    }
}
