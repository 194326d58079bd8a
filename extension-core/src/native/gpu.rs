//! The GPU's name as Linux tells it; elsewhere it stays unknown.

use std::fs;

use rekursing_protocol::Gpu;

use crate::gpu;

/// Looks for a GPU: NVIDIA's driver tells a name, others only their vendor.
pub(super) fn recognise() -> Gpu {
    nvidia().or_else(other).unwrap_or_default()
}

fn nvidia() -> Option<Gpu> {
    let entries = fs::read_dir("/proc/driver/nvidia/gpus").ok()?.flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path().join("information")).ok());
    texts.filter_map(|text| named(&text)).next()
}

/// Reads the driver's `Model:` line.
fn named(information: &str) -> Option<Gpu> {
    let model = information.lines().find_map(|line| line.strip_prefix("Model:"))?.trim();
    let gpu = gpu::recognise(model);
    // The driver is NVIDIA's own, whatever the name says.
    (!model.is_empty())
        .then(|| if gpu.vendor.is_empty() { gpu::recognise(&format!("NVIDIA {model}")) } else { gpu })
}

fn other() -> Option<Gpu> {
    let entries = fs::read_dir("/sys/class/drm").ok()?.flatten();
    let ids = entries.filter_map(|entry| fs::read_to_string(entry.path().join("device/vendor")).ok());
    ids.map(|id| gpu::recognise_adapter(id.trim(), "")).find(|gpu| !gpu.vendor.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_text_is_read() {
        let text = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 18\nGPU UUID: \t GPU-0\n";
        assert_eq!(named(text).unwrap().name(), "NVIDIA H200");
        assert_eq!(named("Model: \t Graphics Device\n").unwrap().vendor, "NVIDIA");
        assert!(named("IRQ: 1\n").is_none());
    }
}
