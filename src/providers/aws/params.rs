//! The parameters of a request in AWS's query protocol: flat names, lists counted from 1.

use super::call::Call;
use std::collections::BTreeMap;

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    values: Vec<(String, String)>,
    filters: usize,
    tagged: usize,
}

impl Params {
    /// One more.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.push((name.to_owned(), value.into()));
        self
    }

    /// A list, as `name.1`, `name.2`.
    pub(super) fn list<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let numbered = values.into_iter().enumerate();
        numbered.fold(self, |params, (at, value)| params.with(&format!("{name}.{}", at + 1), value))
    }

    /// One more filter with one value.
    pub(super) fn filter(mut self, name: &str, value: &str) -> Self {
        self.filters += 1;
        let at = self.filters;
        self.with(&format!("Filter.{at}.Name"), name).with(&format!("Filter.{at}.Value.1"), value)
    }

    /// Tags for what is made, of this resource type.
    pub(super) fn tags(mut self, resource: &str, tags: &BTreeMap<&'static str, String>) -> Self {
        self.tagged += 1;
        let of = format!("TagSpecification.{}", self.tagged);
        let params = self.with(&format!("{of}.ResourceType"), resource);
        tags.iter().enumerate().fold(params, |params, (at, (key, value))| {
            let tag = format!("{of}.Tag.{}", at + 1);
            params.with(&format!("{tag}.Key"), *key).with(&format!("{tag}.Value"), value.as_str())
        })
    }

    /// As the body of a call in the query protocol.
    pub(super) fn form(&self, call: Call) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", call.action()).append_pair("Version", call.service().version());
        form.extend_pairs(&self.values).finish()
    }

    /// As the body of a call in the JSON protocol, which has no lists here.
    pub(super) fn json(&self) -> String {
        let values = self.values.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        serde_json::Value::Object(values.collect()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected body is what botocore 1.44.5 sends for the same request.
    #[test]
    fn a_request_is_written_as_botocore_writes_it() {
        let tags = BTreeMap::from([("windlass.dev/key", "k1".to_owned())]);
        let params = Params::default()
            .with("InstanceSpecification.InstanceId", "i-0d64ce8b8bedf5ea8")
            .list("InstanceSpecification.ExcludeDataVolumeId", ["vol-742b6aaf4314b70b0"])
            .with("Description", "d")
            .tags("snapshot", &tags);
        assert_eq!(
            params.form(Call::CreateSnapshots),
            "Action=CreateSnapshots&Version=2016-11-15&InstanceSpecification.InstanceId=i-0d64ce8b8bedf5ea8\
             &InstanceSpecification.ExcludeDataVolumeId.1=vol-742b6aaf4314b70b0&Description=d\
             &TagSpecification.1.ResourceType=snapshot&TagSpecification.1.Tag.1.Key=windlass.dev%2Fkey\
             &TagSpecification.1.Tag.1.Value=k1"
        );
        let filtered = Params::default().list("Owner", ["self"]).filter("tag:windlass.dev/key", "k1");
        assert_eq!(
            filtered.form(Call::DescribeSnapshots),
            "Action=DescribeSnapshots&Version=2016-11-15&Owner.1=self&Filter.1.Name=tag%3Awindlass.dev%2Fkey\
             &Filter.1.Value.1=k1"
        );
        assert_eq!(Params::default().with("KeyId", "a\"b").json(), r#"{"KeyId":"a\"b"}"#);
    }
}
