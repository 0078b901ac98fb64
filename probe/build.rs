//! Makes the Windows program one that a Nano Server can load (`windows/nano.c`).

fn main() {
    println!("cargo:rerun-if-changed=windows/nano.c");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "windows") {
        // All of it, and before kernel32's own names are looked for.
        let mut nano = cc::Build::new();
        nano.file("windows/nano.c")
            .warnings_into_errors(true)
            .link_lib_modifier("+whole-archive")
            .compile("windlass_nano");
        // Kernel32 has this library's exception handler under the same name, on a desktop.
        println!("cargo:rustc-link-lib=dylib=msvcrt");
    }
}
