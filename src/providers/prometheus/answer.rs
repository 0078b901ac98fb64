//! An answer to an instant query.

use serde::Deserialize;

/// Longest part of Prometheus' own words that is shown, in characters.
const SHOWN: usize = 200;

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Scalar(Sample),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    value: Sample,
}

/// When, in seconds, and the value as text.
#[derive(Deserialize)]
struct Sample(#[allow(dead_code, reason = "its place is read, its value is not")] f64, String);

/// The values, or why there are none. `None`: this is no answer of a Prometheus.
pub(super) fn read(body: &[u8]) -> Option<Result<Vec<f64>, String>> {
    let samples = match serde_json::from_slice(body).ok()? {
        Answer::Error { error } => return Some(Err(error.chars().take(SHOWN).collect())),
        Answer::Success { data: Data::Vector(series) } => series.into_iter().map(|series| series.value).collect(),
        Answer::Success { data: Data::Scalar(sample) } => vec![sample],
        Answer::Success { data: Data::Matrix(_) | Data::String(_) } => {
            return Some(Err("the query gives neither a vector nor a scalar".to_owned()));
        }
    };
    let values = samples.iter().map(|Sample(_, text)| text.parse::<f64>().ok());
    values.collect::<Option<Vec<_>>>().map(Ok)
}
