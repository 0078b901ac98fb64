//! Tables that people add to: one row a line, its columns between semicolons, `#` before a remark.

/// The rows of a table with `N` columns, the last of them whatever is left of the line; a line with fewer is none.
pub(crate) fn rows<const N: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    lines(table).filter_map(|line| {
        let columns: Vec<_> = line.splitn(N, ';').map(str::trim).collect();
        columns.try_into().ok()
    })
}

/// The lines that are to be rows.
pub(crate) fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}
