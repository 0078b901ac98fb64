//! `netsh int ipv4 show dynamicport|excludedportrange tcp`. Its words are translated, its numbers are not.

/// The dynamic range: first port and number of ports. The two numbers behind a colon.
pub(crate) fn dynamic(output: &str) -> Option<(u32, u32)> {
    let mut numbers = output.lines().filter_map(|line| line.rsplit_once(':')?.1.trim().parse().ok());
    let range = (numbers.next()?, numbers.next()?);
    (range.0 <= 65_535 && range.1 <= 65_536).then_some(range)
}

/// The excluded ranges: the lines that begin with two numbers, first and last port.
pub(crate) fn excluded(output: &str) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    output.lines().filter_map(range).collect()
}

/// Ports of the dynamic range that no excluded range covers.
pub(crate) fn left((first, count): (u32, u32), excluded: &[(u32, u32)]) -> u32 {
    let free = (first..first.saturating_add(count)).filter(|p| !excluded.iter().any(|(a, b)| (a..=b).contains(&p)));
    u32::try_from(free.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str =
        "\r\nProtocol tcp Dynamic Port Range\r\n-----\r\nStart Port      : 49152\r\nNumber of Ports : 16384\r\n\r\n";
    const GERMAN: &str = "\r\nDynamischer Portbereich des Protokolls tcp\r\n-----\r\nStartport           : 1024\r\nAnzahl von Ports    : 64511\r\n";
    const EXCLUDED: &str = "\r\nProtocol tcp Port Exclusion Ranges\r\n\r\nStart Port    End Port      \r\n----------    --------      \r\n\
              5985        5985      \r\n     49152       49251      \r\n     50000       50059     *\r\n\r\n* - Administered port exclusions.\r\n";

    #[test]
    fn reads_the_numbers_in_any_language() {
        assert_eq!(dynamic(ENGLISH), Some((49152, 16384)));
        assert_eq!(dynamic(GERMAN), Some((1024, 64511)));
        assert_eq!(dynamic("x"), None);
        assert_eq!(dynamic("a: 70000\nb: 1"), None);
    }

    #[test]
    fn excluded_ranges_are_not_left() {
        let ranges = excluded(EXCLUDED);
        assert_eq!(ranges, [(5985, 5985), (49152, 49251), (50000, 50059)]);
        assert_eq!(left((49152, 16384), &ranges), 16384 - 100 - 60);
        assert_eq!(left((49152, 100), &ranges), 0);
        assert_eq!(left((10, 5), &[]), 5);
    }
}
