//! Leader election on a Lease, by the rules of client-go.
//!
//! What another instance wrote is never compared with the local clock: a lease has run out when it was *seen* unchanged
//! for its whole duration. A leader that could not renew for the renew deadline stops leading while the lease still
//! keeps others away.

use crate::config::Config;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client, core::ObjectMeta};
use std::time::Duration;
use tokio::time::Instant;

/// How long everything takes; the defaults are those of kube-controller-manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease keeps others away after it was last renewed.
    pub duration: Duration,
    /// How long a leader that can not renew goes on leading; shorter than the duration.
    pub renew_deadline: Duration,
    /// How often a leader renews, and the others look.
    pub retry: Duration,
}

impl Terms {
    /// The terms that the operator's flags name.
    pub fn of(config: &Config) -> Self {
        Self {
            duration: Duration::from_secs(config.lease_duration),
            renew_deadline: Duration::from_secs(config.renew_deadline),
            retry: Duration::from_secs(config.retry_period),
        }
    }
}

/// This instance does not lead any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It could not renew in time.
    #[error("the lease could not be renewed within {}s", .0.as_secs())]
    NotRenewed(Duration),
    /// Another instance has it.
    #[error("{0:?} leads now")]
    Taken(String),
}

/// What to do about a lease.
#[derive(Debug, PartialEq, Eq)]
enum Move {
    /// There is none, it is free, or it has run out: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// Somebody else has it.
    Wait,
}

/// Takes part in the election.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    terms: Terms,
    /// The lease as it was last seen, and since when it is so; of our own, since when we asked for it.
    seen: Option<(Lease, Instant)>,
}

impl Elector {
    /// An elector for the lease of this name, in the client's hands alone: renewals must not queue behind other requests.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, terms: Terms) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), identity: identity.to_owned(), terms, seen: None }
    }

    /// Waits until this instance leads.
    pub async fn acquire(&mut self) {
        let mut holder = None;
        loop {
            match self.turn().await {
                Ok(true) => return,
                Ok(false) => self.tell_holder(&mut holder),
                Err(error) => tracing::warn!(%error, "the lease can not be read or written, trying again"),
            }
            tokio::time::sleep(self.terms.retry).await;
        }
    }

    /// Keeps leading until that is lost. The deadline counts from when the last renewal was asked for: others count from when
    /// they see it, which may be long before its answer is here.
    pub async fn keep(&mut self) -> Lost {
        let mut renewed = self.asked();
        loop {
            let deadline = renewed + self.terms.renew_deadline;
            tokio::time::sleep_until(deadline.min(Instant::now() + self.terms.retry)).await;
            match tokio::time::timeout_at(deadline, self.turn()).await {
                Ok(Ok(true)) => renewed = self.asked(),
                Ok(Ok(false)) => return Lost::Taken(self.holder().unwrap_or_default().to_owned()),
                Ok(Err(error)) => tracing::warn!(%error, "the lease could not be renewed, trying again"),
                Err(_) => return Lost::NotRenewed(self.terms.renew_deadline),
            }
        }
    }

    /// Gives the lease back, so that another instance need not wait for it to run out.
    pub async fn release(&mut self) {
        let Some((lease, _)) = self.seen.take() else { return };
        if holder_of(&lease) != Some(self.identity.as_str()) {
            return;
        }
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            ..lease.spec.clone().unwrap_or_default()
        };
        match self.write(Lease { spec: Some(spec), ..lease }).await {
            Ok(()) => tracing::info!("lease released"),
            Err(error) => tracing::warn!(%error, "lease not released, it runs out by itself"),
        }
    }

    /// Looks, and does what is to be done. `true`: this instance leads.
    async fn turn(&mut self) -> Result<bool, ElectorError> {
        // A leader renews what it wrote last, without looking: a write in between shows as a conflict.
        if self.holder() != Some(self.identity.as_str()) {
            self.look().await?;
        }
        let (lease, next) = match &self.seen {
            None => (Lease::default(), Move::Take),
            Some((lease, since)) => {
                (lease.clone(), next(lease.spec.as_ref(), &self.identity, since.elapsed(), self.terms))
            }
        };
        let wanted = match next {
            Move::Wait => return Ok(false),
            Move::Take => taken(lease, &self.name, &self.identity, self.terms),
            Move::Renew => renewed(lease, self.terms),
        };
        let written = self.write(wanted).await;
        if written.as_ref().is_err_and(ElectorError::is_conflict) {
            // Somebody wrote in between: look again before anything else.
            self.seen = None;
        }
        written.map(|()| true)
    }

    async fn look(&mut self) -> Result<(), ElectorError> {
        let found = self.bounded(self.api.get_opt(&self.name)).await?;
        let Some(lease) = found else {
            self.seen = None;
            return Ok(());
        };
        let unchanged = self.seen.as_ref().is_some_and(|(seen, _)| seen.spec == lease.spec);
        let since = self.seen.as_ref().filter(|_| unchanged).map_or_else(Instant::now, |(_, since)| *since);
        self.seen = Some((lease, since));
        Ok(())
    }

    async fn write(&mut self, lease: Lease) -> Result<(), ElectorError> {
        let params = PostParams::default();
        let asked = Instant::now();
        let written = if lease.metadata.resource_version.is_some() {
            self.bounded(self.api.replace(&self.name, &params, &lease)).await?
        } else {
            self.bounded(self.api.create(&params, &lease)).await?
        };
        self.seen = Some((written, asked));
        Ok(())
    }

    async fn bounded<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, ElectorError> {
        match tokio::time::timeout(self.terms.renew_deadline / 2, request).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ElectorError::TimedOut),
        }
    }

    /// When our own lease, as it is, was asked for.
    fn asked(&self) -> Instant {
        self.seen.as_ref().map_or_else(Instant::now, |(_, asked)| *asked)
    }

    fn holder(&self) -> Option<&str> {
        holder_of(&self.seen.as_ref()?.0)
    }

    fn tell_holder(&self, told: &mut Option<String>) {
        let holder = self.holder().map(str::to_owned);
        if *told != holder {
            tracing::info!(holder = holder.as_deref().unwrap_or_default(), "another instance leads, standing by");
            *told = holder;
        }
    }
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
enum ElectorError {
    #[error("no answer in time")]
    TimedOut,
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

impl ElectorError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == 409)
    }
}

/// What to do about a lease that was seen unchanged for `age`.
fn next(spec: Option<&LeaseSpec>, me: &str, age: Duration, terms: Terms) -> Move {
    let Some(spec) = spec else { return Move::Take };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder == me {
        return Move::Renew;
    }
    // The holder's own duration counts: it may run with other terms.
    let duration = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
    let free = holder.is_empty() || age >= duration.unwrap_or(terms.duration);
    if free { Move::Take } else { Move::Wait }
}

fn taken(lease: Lease, name: &str, me: &str, terms: Terms) -> Lease {
    let now = MicroTime(Timestamp::now());
    let before = lease.spec.unwrap_or_default();
    let new = lease.metadata.resource_version.is_none();
    let transitions = before.lease_transitions.unwrap_or_default() + i32::from(!new);
    Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..lease.metadata },
        spec: Some(LeaseSpec {
            holder_identity: Some(me.to_owned()),
            lease_duration_seconds: Some(seconds(terms.duration)),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..before
        }),
    }
}

fn renewed(lease: Lease, terms: Terms) -> Lease {
    let spec = LeaseSpec {
        renew_time: Some(MicroTime(Timestamp::now())),
        lease_duration_seconds: Some(seconds(terms.duration)),
        ..lease.spec.unwrap_or_default()
    };
    Lease { spec: Some(spec), ..lease }
}

fn holder_of(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// Whole seconds, as a lease has them; at least one.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests;
