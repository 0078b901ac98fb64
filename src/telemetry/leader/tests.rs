use super::*;

const TERMS: Terms =
    Terms { duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) };

fn spec(holder: &str, seconds: Option<i32>) -> LeaseSpec {
    LeaseSpec { holder_identity: Some(holder.into()), lease_duration_seconds: seconds, ..LeaseSpec::default() }
}

#[test]
fn a_lease_is_taken_only_when_it_is_free_or_was_seen_to_run_out() {
    let cases = [
        (None, 0, Move::Take, "never held"),
        (Some(spec("me", Some(15))), 0, Move::Renew, "ours"),
        (Some(spec("me", Some(15))), 600, Move::Renew, "ours, and nobody took it meanwhile"),
        (Some(spec("", Some(1))), 0, Move::Take, "released"),
        (Some(spec("other", Some(15))), 14, Move::Wait, "another's, seen unchanged for a while"),
        (Some(spec("other", Some(15))), 15, Move::Take, "another's, run out"),
        (Some(spec("other", Some(60))), 30, Move::Wait, "another's, under longer terms"),
        (Some(spec("other", None)), 14, Move::Wait, "another's, without terms"),
        (Some(spec("other", None)), 15, Move::Take, "another's, without terms, by ours"),
    ];
    for (spec, age, expect, what) in cases {
        assert_eq!(next(spec.as_ref(), "me", Duration::from_secs(age), TERMS), expect, "{what}");
    }
}

#[test]
fn taking_counts_a_transition_and_renewing_does_not() {
    let new = taken(Lease::default(), "windlass", "me", TERMS);
    let spec = new.spec.clone().expect("a spec");
    assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(0), Some(15)));
    assert_eq!(new.metadata.name.as_deref(), Some("windlass"));
    let there = Lease {
        metadata: ObjectMeta { resource_version: Some("7".into()), ..new.metadata.clone() },
        spec: new.spec.clone(),
    };
    let again = taken(there.clone(), "windlass", "other", TERMS);
    assert_eq!(again.spec.as_ref().and_then(|s| s.lease_transitions), Some(1));
    assert_eq!(again.metadata.resource_version.as_deref(), Some("7"), "only if nobody wrote meanwhile");
    let kept = renewed(there, TERMS);
    assert_eq!(kept.spec.as_ref().and_then(|s| s.lease_transitions), Some(0));
    assert_eq!(holder_of(&kept), Some("me"));
}

/// What the API server says to an elector: each answer after so many seconds, then none any more.
fn elector(answers: &'static [u64]) -> Elector {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            match answers.get(number) {
                Some(after) => tokio::time::sleep(Duration::from_secs(*after)).await,
                None => std::future::pending().await,
            }
            if request.method() == http::Method::GET {
                let status = kube::core::Status::failure("not there", "NotFound").with_code(404);
                let body = serde_json::to_vec(&status)?;
                return Ok(http::Response::builder().status(404).body(kube::client::Body::from(body))?);
            }
            let mut lease: Lease = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
            lease.metadata.resource_version = Some(number.to_string());
            Ok::<_, tower::BoxError>(http::Response::new(kube::client::Body::from(serde_json::to_vec(&lease)?)))
        }
    });
    Elector::new(Client::new(service, "default"), "default", "windlass", "me", TERMS)
}

/// Another instance takes a lease that it saw unchanged for 15 s, from when the last renewal came to the API server on: by
/// then, this one must have known for 5 s that it does not lead any more, however late its answers come.
#[tokio::test(start_paused = true)]
async fn a_leader_counts_its_deadline_from_what_it_asked_not_from_the_answer() {
    // Looked, and taken 4 s after it was asked for.
    let mut slow = elector(&[0, 4]);
    let begun = Instant::now();
    slow.acquire().await;
    assert_eq!(slow.keep().await, Lost::NotRenewed(TERMS.renew_deadline));
    assert_eq!(begun.elapsed().as_secs(), 10, "from when it was asked to be taken");

    // The same, renewed once at 6 s, answered at 9 s.
    let mut slow = elector(&[0, 4, 3]);
    let begun = Instant::now();
    slow.acquire().await;
    assert_eq!(slow.keep().await, Lost::NotRenewed(TERMS.renew_deadline));
    assert_eq!(begun.elapsed().as_secs(), 16);
}
