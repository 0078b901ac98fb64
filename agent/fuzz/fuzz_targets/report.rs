//! Reports, as the operator reads them from a pod's log: refused or read, and what was read fits into its line again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_protocol::{MAX_REPORT_BYTES, Report, Ticket};

fuzz_target!(|bytes: &[u8]| {
    let log = String::from_utf8_lossy(bytes);
    let ticket =
        Ticket { node_update_uid: "u".into(), step: "Stage".into(), round: 1, attempt: 1, challenge: "c".into() };
    if let Ok(report) = Report::from_log(&log, &ticket, "win-7") {
        let line = report.to_line();
        assert!(line.len() <= MAX_REPORT_BYTES, "{} bytes", line.len());
        assert!(!line.contains('\n'));
        Report::from_log(&line, &ticket, "win-7").expect("its own line");
    }
});
