//! Strings as browsers and systems wrote them, and what they mean.

use GpuClass::{Datacenter, High, Integrated, Low, Mid, Software, Unknown};

use super::*;

#[test]
fn every_known_string_is_recognised() {
    for (raw, vendor, model, class) in [
        (
            "ANGLE (NVIDIA, NVIDIA GeForce RTX 4090 (0x00002684) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "NVIDIA",
            "GeForce RTX 4090",
            High,
        ),
        (
            "ANGLE (NVIDIA, NVIDIA GeForce RTX 3060 Direct3D11 vs_5_0 ps_5_0, D3D11-31.0.15.3667)",
            "NVIDIA",
            "GeForce RTX 3060",
            Mid,
        ),
        (
            "ANGLE (NVIDIA, NVIDIA GeForce RTX 3080 Ti (0x00002208) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "NVIDIA",
            "GeForce RTX 3080 Ti",
            High,
        ),
        (
            "ANGLE (NVIDIA, NVIDIA GeForce RTX 4070 Laptop GPU (0x00002820) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "NVIDIA",
            "GeForce RTX 4070 Laptop GPU",
            Mid,
        ),
        (
            "ANGLE (NVIDIA, NVIDIA GeForce GTX 1060 6GB Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "NVIDIA",
            "GeForce GTX 1060 6GB",
            Mid,
        ),
        (
            "ANGLE (NVIDIA, NVIDIA GeForce GTX 970 Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "NVIDIA",
            "GeForce GTX 970",
            Low,
        ),
        (
            "ANGLE (NVIDIA Corporation, NVIDIA GeForce RTX 2070 SUPER/PCIe/SSE2, OpenGL 4.5.0 NVIDIA 535.54)",
            "NVIDIA",
            "GeForce RTX 2070 SUPER",
            High,
        ),
        ("ANGLE (NVIDIA GeForce GTX 1650 Direct3D11 vs_5_0 ps_5_0)", "NVIDIA", "GeForce GTX 1650", Low),
        ("NVIDIA GeForce RTX 5090/PCIe/SSE2", "NVIDIA", "GeForce RTX 5090", High),
        ("GeForce GTX 970/PCIe/SSE2", "NVIDIA", "GeForce GTX 970", Low),
        ("NVIDIA RTX A6000", "NVIDIA", "RTX A6000", High),
        ("NVIDIA RTX A2000 12GB", "NVIDIA", "RTX A2000 12GB", Mid),
        ("NVIDIA H100 80GB HBM3", "NVIDIA", "H100 80GB HBM3", Datacenter),
        ("NVIDIA H200", "NVIDIA", "H200", Datacenter),
        ("NVIDIA A100-SXM4-40GB", "NVIDIA", "A100-SXM4-40GB", Datacenter),
        ("Tesla T4", "NVIDIA", "Tesla T4", Datacenter),
        (
            "01:00.0 VGA compatible controller: NVIDIA Corporation AD102 [GeForce RTX 4090] (rev a1)",
            "NVIDIA",
            "GeForce RTX 4090",
            High,
        ),
        (
            "ANGLE (AMD, AMD Radeon RX 7900 XTX (radeonsi navi31 LLVM 15.0.7), OpenGL 4.6)",
            "AMD",
            "Radeon RX 7900 XTX",
            High,
        ),
        (
            "ANGLE (AMD, AMD Radeon RX 6600 (0x000073FF) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "AMD",
            "Radeon RX 6600",
            Mid,
        ),
        (
            "ANGLE (AMD, AMD Radeon(TM) Graphics (0x00001681) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "AMD",
            "Radeon Graphics",
            Integrated,
        ),
        (
            "ANGLE (AMD, AMD Radeon 780M (0x000015BF) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "AMD",
            "Radeon 780M",
            Integrated,
        ),
        (
            "AMD Radeon RX 9070 XT (radeonsi, gfx1201, LLVM 19.1.7, DRM 3.61, 6.14.0)",
            "AMD",
            "Radeon RX 9070 XT",
            High,
        ),
        (
            "Radeon RX 580 Series (radeonsi, polaris10, LLVM 15.0.6, DRM 3.49)",
            "AMD",
            "Radeon RX 580 Series",
            Mid,
        ),
        ("AMD Instinct MI300X", "AMD", "Instinct MI300X", Datacenter),
        (
            "03:00.0 VGA compatible controller [0300]: Advanced Micro Devices, Inc. [AMD/ATI] Navi 21 [Radeon RX 6800 XT] [1002:73bf]",
            "AMD",
            "Radeon RX 6800 XT",
            High,
        ),
        ("ANGLE (Apple, ANGLE Metal Renderer: Apple M2, Unspecified Version)", "Apple", "M2", Integrated),
        ("ANGLE (Apple, ANGLE Metal Renderer: Apple M1 Pro, Unspecified Version)", "Apple", "M1 Pro", Mid),
        ("ANGLE (Apple, ANGLE Metal Renderer: Apple M3 Max, Unspecified Version)", "Apple", "M3 Max", High),
        ("ANGLE (Apple, Apple M2 Ultra, OpenGL 4.1 Metal - 83.1)", "Apple", "M2 Ultra", High),
        ("Apple GPU", "Apple", "GPU", Integrated),
        (
            "ANGLE (Intel, Intel(R) UHD Graphics 620 (0x00005917) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "Intel",
            "UHD Graphics 620",
            Integrated,
        ),
        (
            "ANGLE (Intel, Intel(R) Iris(R) Xe Graphics (0x0000A7A0) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "Intel",
            "Iris Xe Graphics",
            Integrated,
        ),
        (
            "ANGLE (Intel, Intel(R) Arc(TM) A770 Graphics (0x000056A0) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "Intel",
            "Arc A770 Graphics",
            Mid,
        ),
        (
            "ANGLE (Intel, Intel(R) Arc(TM) Graphics (0x00007D55) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "Intel",
            "Arc Graphics",
            Integrated,
        ),
        ("Mesa Intel(R) Graphics (ADL GT2)", "Intel", "Graphics", Integrated),
        (
            "ANGLE (Intel, Mesa Intel(R) UHD Graphics 770 (ADL-S GT1), OpenGL 4.6)",
            "Intel",
            "UHD Graphics 770",
            Integrated,
        ),
        ("ANGLE (Qualcomm, Adreno (TM) 740, OpenGL ES 3.2)", "Qualcomm", "Adreno 740", Integrated),
        ("Mali-G78", "ARM", "Mali-G78", Integrated),
        (
            "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero) (0x0000C0DE)), SwiftShader driver)",
            "",
            "SwiftShader",
            Software,
        ),
        ("Google SwiftShader", "", "SwiftShader", Software),
        (
            "ANGLE (Microsoft, Microsoft Basic Render Driver (0x0000008C) Direct3D11 vs_5_0 ps_5_0, D3D11)",
            "",
            "WARP",
            Software,
        ),
        ("llvmpipe (LLVM 15.0.6, 256 bits)", "", "llvmpipe", Software),
        ("ANGLE (Mesa, llvmpipe (LLVM 15.0.7 256 bits), OpenGL 4.5)", "", "llvmpipe", Software),
        ("Apple Software Renderer", "", "Apple Software Renderer", Software),
        ("WebKit WebGL", "", "", Unknown),
        ("", "", "", Unknown),
    ] {
        let gpu = recognise(raw);
        assert_eq!((gpu.vendor.as_str(), gpu.model.as_str(), gpu.class), (vendor, model, class), "{raw}");
        assert_eq!(gpu.raw, raw);
    }
}

#[test]
fn an_adapter_tells_its_vendor_at_most() {
    for (vendor, architecture, name, class) in [
        ("nvidia", "ada-lovelace", "NVIDIA", Unknown),
        ("apple", "common-3", "Apple", Unknown),
        ("google", "swiftshader", "No GPU (SwiftShader, drawn by the processor)", Software),
        ("", "", "Unknown GPU", Unknown),
    ] {
        let gpu = recognise_adapter(vendor, architecture);
        assert_eq!((gpu.name().as_str(), gpu.class), (name, class));
    }
}

#[test]
fn an_overlong_or_unprintable_text_is_kept_short() {
    let gpu = recognise(&format!("Apple M2\n{}", "x".repeat(1_000)));
    assert_eq!(gpu.raw.len(), 300);
    assert!(!gpu.raw.contains('\n'));
}
