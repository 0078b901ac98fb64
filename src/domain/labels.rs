//! The labels of a node, in one piece of memory.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels of an object, by key.
///
/// A pass of the planner asks each of thousands of nodes for a label or two. With a string of its own for each key and each
/// value, most of such a pass is waiting for memory; here the labels of a node lie side by side, and a copy is a reference.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Labels {
    /// A line for each, `key=value`, in the order of the keys. Neither has a `=` or a line break: the syntax of labels,
    /// which the API server checks, allows letters, digits and `-_./` only.
    lines: Arc<str>,
}

impl Labels {
    /// The value of a label; `None` when the object has no such label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut rest = &*self.lines;
        loop {
            // One byte tells nearly all other lines apart.
            if rest.as_bytes().get(key.len()) == Some(&b'=')
                && let Some(value) = rest.strip_prefix(key)
            {
                return value.split(['=', '\n']).nth(1);
            }
            rest = rest.split_once('\n')?.1;
        }
    }

    /// All of them, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.lines().filter_map(|line| line.split_once('='))
    }
}

impl<K: AsRef<str>, V: AsRef<str>> From<&BTreeMap<K, V>> for Labels {
    fn from(labels: &BTreeMap<K, V>) -> Self {
        let labels = || labels.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
        let mut lines = String::with_capacity(labels().map(|(key, value)| key.len() + value.len() + 2).sum());
        for text in labels().flat_map(|(key, value)| [key, "=", value, "\n"]) {
            lines.push_str(text);
        }
        Self { lines: lines.into() }
    }
}

impl<K: AsRef<str> + Ord, V: AsRef<str>> FromIterator<(K, V)> for Labels {
    /// Of two with the same key the later one counts.
    fn from_iter<T: IntoIterator<Item = (K, V)>>(labels: T) -> Self {
        Self::from(&labels.into_iter().collect::<BTreeMap<K, V>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_by_its_whole_key() {
        let labels: Labels =
            [("ring", "canary"), ("app.io/ring", "x"), ("rin", ""), ("zone", "a")].into_iter().collect();
        for (key, value) in
            [("ring", Some("canary")), ("app.io/ring", Some("x")), ("rin", Some("")), ("zone", Some("a"))]
        {
            assert_eq!(labels.get(key), value, "{key}");
        }
        for key in ["ri", "ing", "canary", "rings", "", "a"] {
            assert_eq!(labels.get(key), None, "{key}");
        }
        assert_eq!(Labels::default().get("ring"), None);
    }

    #[test]
    fn their_order_is_that_of_the_keys() {
        let labels: Labels = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(labels, [("a", "2"), ("b", "3")].into_iter().collect());
    }
}
