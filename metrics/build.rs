//! Tells the accounting of memory how the allocator was built: with blocks of 8 bytes (`.cargo/config.toml`), or, where
//! somebody builds with other flags, with its default of 16.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(blocks_of_eight)");
    println!("cargo::rerun-if-env-changed=CFLAGS");
    let flags = std::env::var("CFLAGS").unwrap_or_default();
    if flags.contains("-DMI_MAX_ALIGN_SIZE=8") {
        println!("cargo::rustc-cfg=blocks_of_eight");
    }
}
