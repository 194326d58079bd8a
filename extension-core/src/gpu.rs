//! Reads a GPU's name out of what a browser or a system says.
//!
//! The name is a label for readers, not evidence: anybody can write any string. What nothing here
//! recognises keeps its text and claims nothing.

mod class;

use rekursing_protocol::{Gpu, gpu::GpuClass, name};

/// Most characters of the raw text that are kept.
const RAW_CHARS_MAX: usize = 300;

/// Reads a renderer string (WebGL through ANGLE, Mesa, Apple) or a system's name of the device
/// (`nvidia-smi`, `lspci`) as a GPU.
pub fn recognise(raw: &str) -> Gpu {
    let raw = name::plain(raw, RAW_CHARS_MAX);
    let device = device(&raw);
    if let Some(name) = software(&raw) {
        return Gpu { vendor: String::new(), model: name.to_owned(), class: GpuClass::Software, raw };
    }
    let vendor = vendor(device).or_else(|| vendor(&raw)).unwrap_or_default();
    let model = model(device, vendor);
    let class = class::of(vendor, &model);
    Gpu { vendor: vendor.to_owned(), model, class, raw }
}

/// Reads what WebGPU's adapter tells: a vendor and an architecture, no name.
pub fn recognise_adapter(vendor_id: &str, architecture: &str) -> Gpu {
    let raw = format!("{vendor_id} {architecture}");
    if software(&raw).is_some() {
        return recognise(&raw);
    }
    let vendor = vendor(vendor_id).unwrap_or_default();
    let raw = raw.trim().chars().take(RAW_CHARS_MAX).collect();
    Gpu { vendor: vendor.to_owned(), model: String::new(), class: GpuClass::Unknown, raw }
}

/// Returns what names the device: the middle of `ANGLE (vendor, device, driver)`, the name in the
/// brackets of `lspci`, or all of it.
fn device(raw: &str) -> &str {
    if let Some(inside) = raw.strip_prefix("ANGLE (") {
        let inside = inside.strip_suffix(')').unwrap_or(inside);
        // Before 2021 ANGLE wrote the device alone.
        return inside.split_once(", ").map_or(inside, |(_, rest)| rest.split(", ").next().unwrap_or(rest));
    }
    let bracketed = raw.split('[').skip(1).filter_map(|part| part.split_once(']')).map(|(inside, _)| inside);
    let named = bracketed.filter(|inside| inside.contains(' ') && !inside.contains(':')).last();
    named.unwrap_or(raw)
}

/// Returns the name of a renderer that runs on the processor.
fn software(raw: &str) -> Option<&'static str> {
    let lower = raw.to_ascii_lowercase();
    let known = [
        ("swiftshader", "SwiftShader"),
        ("llvmpipe", "llvmpipe"),
        ("softpipe", "softpipe"),
        ("lavapipe", "lavapipe"),
        ("microsoft basic render", "WARP"),
        ("swrast", "swrast"),
        ("software rasterizer", "Software Rasterizer"),
        ("apple software renderer", "Apple Software Renderer"),
    ];
    known.into_iter().find(|(sign, _)| lower.contains(sign)).map(|(_, name)| name)
}

fn vendor(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let signs: [(&str, &[&str]); 8] = [
        ("NVIDIA", &["nvidia", "geforce", "quadro", "tesla ", "0x10de"]),
        ("AMD", &["amd", "radeon", "advanced micro devices", "ati technologies", "firepro", "0x1002"]),
        ("Apple", &["apple"]),
        ("Intel", &["intel", "0x8086"]),
        ("Qualcomm", &["qualcomm", "adreno"]),
        ("ARM", &["mali-", "immortalis", "arm "]),
        ("Imagination", &["powervr", "imagination"]),
        ("Moore Threads", &["moore threads", "mtt s"]),
    ];
    signs
        .into_iter()
        .find(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)))
        .map(|(vendor, _)| vendor)
}

/// Returns the trade name without the vendor, ids, drivers and APIs around it.
fn model(device: &str, vendor: &str) -> String {
    if vendor.is_empty() {
        return String::new();
    }
    let device = device.strip_prefix("ANGLE Metal Renderer: ").unwrap_or(device);
    // `Mesa Intel(R) Graphics (ADL GT2)` and `AMD Radeon RX 7900 XTX (radeonsi, navi31, …)`.
    let device = device.strip_prefix("Mesa ").unwrap_or(device).replace("(R)", "").replace("(TM)", "");
    let device = device.replace("(tm)", "").replace("(r)", "");
    let device = device.split(" (").next().unwrap_or_default();
    // A slash begins a bus or a CPU feature: `GeForce GTX 970/PCIe/SSE2`.
    let device = device.split("/PCI").next().unwrap_or_default();
    let device = [" Direct3D", " OpenGL", " vs_", " D3D1", " Vulkan "]
        .into_iter()
        .fold(device, |device, api| device.split(api).next().unwrap_or_default());
    let noise = ["corporation", "inc.", "controller:", "compatible", "vga", "3d", "display"];
    let words = device.split_whitespace().filter(|word| {
        let word = word.to_ascii_lowercase();
        !noise.contains(&word.as_str()) && word != vendor.to_ascii_lowercase()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
