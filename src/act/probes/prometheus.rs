//! Probe `prometheus`: a query's values are as they should be. It says nothing about one node, but about the whole.

use super::{ProbeVerdict, Subject};
use crate::api::{Comparison, Operator, PrometheusProbe};

pub(super) async fn probe(subject: &Subject<'_>, probe: &PrometheusProbe) -> ProbeVerdict {
    let values = match subject.means.monitoring.query(&probe.address, &probe.query).await {
        Ok(values) => values,
        Err(error) => return ProbeVerdict::Inconclusive(error.to_string()),
    };
    // While a node is verified the sentence is written at every change, so that it must not move with the value.
    judge(&values, *probe.fail_when.get(), subject.key.is_none())
}

/// Any value for which it holds is a failure, which may pass: an error rate needs its time to fall. Without a value, or
/// with none that is a number, nothing is known.
fn judge(values: &[f64], fail_when: Comparison, tell_value: bool) -> ProbeVerdict {
    let mut known = values.iter().copied().filter(|value| !value.is_nan()).peekable();
    if known.peek().is_none() {
        return ProbeVerdict::Inconclusive("the query gives no data".to_owned());
    }
    match known.find(|value| holds(*value, fail_when)) {
        None => ProbeVerdict::Passed,
        Some(value) if tell_value => ProbeVerdict::NotYet(format!("the query gives {value}, which is {fail_when}")),
        Some(_) => ProbeVerdict::NotYet(format!("the query gives a value that is {fail_when}")),
    }
}

#[allow(clippy::float_cmp, reason = "the user asked for it")]
fn holds(value: f64, Comparison { operator, bound }: Comparison) -> bool {
    match operator {
        Operator::Greater => value > bound,
        Operator::GreaterOrEqual => value >= bound,
        Operator::Less => value < bound,
        Operator::LessOrEqual => value <= bound,
        Operator::Equal => value == bound,
        Operator::NotEqual => value != bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FailWhen;

    fn verdict(values: &[f64], fail_when: &str) -> ProbeVerdict {
        let fail_when = FailWhen::try_from(fail_when.to_owned()).expect(fail_when);
        judge(values, *fail_when.get(), true)
    }

    #[test]
    fn any_value_that_must_not_be_fails() {
        assert_eq!(verdict(&[0.0, 0.01], "> 0.01"), ProbeVerdict::Passed);
        let failed = verdict(&[0.0, 0.5], "> 0.01");
        assert_eq!(failed, ProbeVerdict::NotYet("the query gives 0.5, which is > 0.01".into()));
        for (value, fail_when, fails) in [
            (1.0, ">= 1", true),
            (1.0, "< 1", false),
            (0.5, "<1", true),
            (1.0, "<= 1", true),
            (1.0, "== 1", true),
            (1.0, "!= 1", false),
            (-2.0, "< -1.5", true),
        ] {
            assert_eq!(verdict(&[value], fail_when) != ProbeVerdict::Passed, fails, "{value} {fail_when}");
        }
    }

    #[test]
    fn no_data_says_nothing() {
        for values in [&[][..], &[f64::NAN]] {
            assert!(matches!(verdict(values, "> 0.01"), ProbeVerdict::Inconclusive(_)), "{values:?}");
        }
        assert_eq!(verdict(&[f64::NAN, 0.0], "> 0.01"), ProbeVerdict::Passed);
    }
}
