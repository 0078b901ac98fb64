//! Texts that are shown in part.

/// Longest text of a report that is too long, and of what is quoted of a line that is none, in characters.
pub(crate) const SHORT: usize = 200;

/// The beginning of a line as one may show it: not what a terminal would take for orders.
pub(crate) fn beginning(line: &str) -> String {
    let shown = line.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let more = if line.trim().chars().nth(SHORT).is_some() { "..." } else { "" };
    shown.take(SHORT).chain(more.chars()).collect()
}
