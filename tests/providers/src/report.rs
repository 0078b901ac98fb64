//! What came out: the tables of `docs/providers.md`, and the number of calls.

use crate::{Bench, Case, Verdict};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write;
use windlass::api::Step;
use windlass::ports::{Capabilities, Capability};

/// Around what the suite writes.
const BEGIN: &str = "<!-- written by cargo xtask test providers --bless -->\n";
const END: &str = "<!-- end of what is written -->\n";

/// API calls of each piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    examine: usize,
    snapshot_start: usize,
    snapshot_look: usize,
    inspect: usize,
    restore_start: usize,
    restore_look: usize,
    delete: usize,
    list: usize,
}

impl Figures {
    /// Counts the calls of a snapshot, a restore and a deletion.
    ///
    /// # Errors
    /// One of them fails.
    pub async fn measure(bench: &Bench<'_>) -> Result<Self> {
        let proxy = bench.world.proxy();
        let provider = bench.provider();
        let node = bench.machine("a").await?;
        provider.ready().await?;
        let mut last = proxy.calls();
        let mut spent = || {
            let now = proxy.calls();
            now - std::mem::replace(&mut last, now)
        };
        provider.examine(&node).await?;
        let examine = spent();
        let key = bench.key(Step::Snapshot);
        let order = windlass::ports::Order { node: &node, key: &key, expires_at: None };
        let _ = provider.ensure(&order).await?;
        let snapshot_start = spent();
        let handle = bench.until("the snapshot", async || provider.ensure(&order).await).await?.context("no handle")?;
        spent();
        let _ = provider.ensure(&order).await?;
        let snapshot_look = spent();
        provider.inspect(&handle).await?;
        let inspect = spent();
        let key = bench.key(Step::Restore);
        let _ = provider.restore(&node, &handle, &key).await?;
        let restore_start = spent();
        bench.until("the restore", async || provider.restore(&node, &handle, &key).await).await?;
        spent();
        let _ = provider.restore(&node, &handle, &key).await?;
        let restore_look = spent();
        provider.list().await?;
        let listed = spent();
        provider.delete(&handle).await?;
        let delete = spent();
        Ok(Self { examine, snapshot_start, snapshot_look, inspect, restore_start, restore_look, delete, list: listed })
    }

    fn rows(self) -> [(&'static str, usize); 8] {
        [
            ("to examine a machine before its node is touched", self.examine),
            ("to start a snapshot", self.snapshot_start),
            ("to look after it", self.snapshot_look),
            ("to inspect it", self.inspect),
            ("to start a restore", self.restore_start),
            ("to look after it, at its end", self.restore_look),
            ("to list all snapshots", self.list),
            ("to delete one", self.delete),
        ]
    }
}

/// All outcomes.
#[derive(Default)]
pub struct Table {
    cases: Vec<(Case, BTreeMap<&'static str, Verdict>)>,
    providers: BTreeMap<&'static str, (Figures, Capabilities)>,
}

impl Table {
    /// Notes how a case ended.
    ///
    /// # Errors
    /// It failed.
    pub fn note(&mut self, case: Case, provider: &'static str, verdict: Result<Verdict>) -> Result<()> {
        let verdict = verdict?;
        match self.cases.iter_mut().find(|(known, _)| known.name == case.name) {
            Some((_, of)) => _ = of.insert(provider, verdict),
            None => self.cases.push((case, BTreeMap::from([(provider, verdict)]))),
        }
        Ok(())
    }

    /// Notes a provider's figures.
    pub fn measured(&mut self, provider: &'static str, figures: Figures, capabilities: Capabilities) {
        self.providers.insert(provider, (figures, capabilities));
    }

    /// API calls, for people.
    pub fn figures(&self) -> String {
        let mut text = "API calls of one piece of work:\n".to_owned();
        for (provider, (figures, _)) in &self.providers {
            let rows = figures.rows().map(|(what, calls)| format!("{calls} {what}"));
            _ = writeln!(text, "  {provider}: {}", rows.join(", "));
        }
        text
    }

    /// The document with the tables in their place.
    ///
    /// # Errors
    /// The document has no place for them.
    pub fn put_into(&self, document: &str) -> Result<String> {
        let (before, rest) = document.split_once(BEGIN).context("the document has no line that begins the tables")?;
        let (_, after) = rest.split_once(END).context("the document has no line that ends the tables")?;
        Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", self.text()))
    }

    fn text(&self) -> String {
        let names: Vec<_> = self.providers.keys().copied().collect();
        let mut text = format!("### What each can do\n\n{}", head("Capability", &names));
        for capability in Capability::ALL {
            let cells =
                self.providers.values().map(|(_, can)| if can.has(capability) { "yes" } else { "no" }.to_owned());
            text += &row(&format!("`{capability}`: {}", in_words(capability)), cells);
        }
        text.push_str("\n### API calls\n\n");
        text += &head("Calls", &names);
        for (n, (what, _)) in Figures::default().rows().iter().enumerate() {
            text += &row(what, self.providers.values().map(|(figures, _)| figures.rows()[n].1.to_string()));
        }
        text.push_str("\n### Cases\n\n");
        text += &head("Case: what must hold", &names);
        let mut reasons: Vec<&str> = Vec::new();
        let order: Vec<_> = crate::cases::all().iter().map(|case| case.name).collect();
        let mut cases: Vec<_> = self.cases.iter().collect();
        cases.sort_by_key(|(case, _)| order.iter().position(|name| *name == case.name));
        for (case, verdicts) in cases {
            let mut cells = Vec::new();
            for name in &names {
                cells.push(match verdicts.get(name) {
                    Some(Verdict::Pass) => "pass".to_owned(),
                    Some(Verdict::NotApplicable(why)) => {
                        let known = reasons.iter().position(|reason| reason == why);
                        let number = known.unwrap_or_else(|| {
                            reasons.push(why);
                            reasons.len() - 1
                        });
                        format!("n/a [{}]", number + 1)
                    }
                    None => "not run".to_owned(),
                });
            }
            text += &row(&format!("`{}`: {}", case.name, case.says), cells.into_iter());
        }
        text += "\nNot applicable (n/a), because:\n\n";
        for (n, reason) in reasons.iter().enumerate() {
            text.extend([&(n + 1).to_string(), ". ", reason, "\n"]);
        }
        text
    }
}

fn in_words(capability: Capability) -> &'static str {
    match capability {
        Capability::InPlace => "the same machine gets its old disk back",
        Capability::KeepsIdentity => "the machine keeps its providerID, addresses and name",
        Capability::Online => "no machine has to be off for a snapshot",
        Capability::DataDisksExcluded => "only the system disk is in a snapshot",
        Capability::FileSystemConsistent => "file systems can be frozen for it; else it is as after a power cut",
        Capability::MemoryIncluded => "the machine's memory is in it, too",
        Capability::Expiry => "the provider ends a snapshot by itself, and says when",
    }
}

fn head(first: &str, names: &[&str]) -> String {
    format!("| {first} | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

fn row(first: &str, cells: impl Iterator<Item = String>) -> String {
    format!("| {first} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_told_from_what_came_out() {
        let mut table = Table::default();
        let case = crate::cases::all()[0];
        table.measured("sim", Figures::default(), Capabilities::of(&[]));
        table.note(case, "sim", Ok(Verdict::Pass)).expect("an outcome");
        let document = format!("before\n{BEGIN}old\n{END}after\n");
        let written = table.put_into(&document).expect("a document");
        assert!(written.starts_with("before\n") && written.ends_with("after\n") && written.contains("| pass |"));
        assert_eq!(table.put_into(&written).expect("a document"), written, "what was written is what came out");
        table.note(case, "sim", Ok(Verdict::NotApplicable("of its nature".into()))).expect("an outcome");
        let other = table.put_into(&written).expect("a document");
        assert!(other != written && other.contains("n/a [1]") && other.contains("1. of its nature"), "{other}");
        assert!(table.put_into("a document without a place").is_err());
    }
}
