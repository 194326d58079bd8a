//! How strong a GPU is, by its name. Rules by series, so that next year's cards fall in place.

use rekursing_protocol::gpu::GpuClass;

/// Returns the class of a trade name.
pub(super) fn of(vendor: &str, model: &str) -> GpuClass {
    let words: Vec<String> = model.split_whitespace().map(str::to_ascii_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match vendor {
        _ if model.is_empty() => GpuClass::Unknown,
        "NVIDIA" => nvidia(&words),
        "AMD" => amd(&words),
        "Intel" => intel(&words),
        "Apple" => apple(&words),
        "Qualcomm" | "ARM" | "Imagination" => GpuClass::Integrated,
        _ => GpuClass::Unknown,
    }
}

fn nvidia(words: &[&str]) -> GpuClass {
    let datacenter = [
        "A2", "A10", "A10G", "A16", "A30", "A40", "A100", "A800", "H20", "H100", "H200", "H800", "B100",
        "B200", "B300", "GB200", "GB300", "GH200", "L4", "L20", "L40", "L40S", "T4", "P4", "P40", "P100",
        "V100", "K80", "M60",
    ];
    if words.iter().any(|word| datacenter.contains(&word.split('-').next().unwrap_or(word))) {
        return GpuClass::Datacenter;
    }
    let laptop = words.iter().any(|word| matches!(*word, "LAPTOP" | "MAX-Q" | "MOBILE"));
    // `RTX 4090`, `RTX4090`, `GTX 970`, `MX450`, `RTX A6000`, `RTX 6000 Ada`.
    let series = words.iter().find_map(|word| {
        let digits = word.trim_start_matches(|char: char| !char.is_ascii_digit());
        leading_number(digits).filter(|number| *number >= 100)
    });
    let has = |sign: &str| words.iter().any(|word| word.starts_with(sign));
    match series {
        Some(number) if has("TITAN") || (has("RTX") && (has("A") || has("PRO") || has("QUADRO"))) => {
            if number >= 4_000 { GpuClass::High } else { GpuClass::Mid }
        }
        Some(number) if has("RTX") && number >= 2_000 => {
            if number % 100 >= 70 && !laptop {
                GpuClass::High
            } else {
                GpuClass::Mid
            }
        }
        Some(number) if has("GTX") && number >= 1_000 => {
            if number % 100 >= 60 {
                GpuClass::Mid
            } else {
                GpuClass::Low
            }
        }
        Some(_) if has("GTX") || has("GT") || has("MX") || has("GEFORCE") || has("QUADRO") => GpuClass::Low,
        None if has("TITAN") => GpuClass::High,
        Some(_) | None => GpuClass::Unknown,
    }
}

fn amd(words: &[&str]) -> GpuClass {
    let has = |sign: &str| words.iter().any(|word| word.starts_with(sign));
    if has("INSTINCT") || words.iter().any(|word| word.starts_with("MI") && word.len() >= 4) {
        return GpuClass::Datacenter;
    }
    let number = words.iter().find_map(|word| leading_number(word).filter(|number| *number >= 100));
    if has("RX") {
        return match number {
            Some(number) if number >= 9_000 => {
                if number % 100 >= 70 {
                    GpuClass::High
                } else {
                    GpuClass::Mid
                }
            }
            Some(number) if number >= 5_000 => {
                // The second digit is the rank: 6800, 7900.
                if number % 1_000 >= 800 { GpuClass::High } else { GpuClass::Mid }
            }
            Some(number) if number >= 560 => GpuClass::Mid,
            Some(_) => GpuClass::Low,
            // `RX Vega 64`.
            None => GpuClass::Mid,
        };
    }
    // `W7900`, `PRO W6800`.
    if let Some(number) = words.iter().find_map(|word| leading_number(word.strip_prefix('W')?)) {
        return if number % 1_000 >= 800 { GpuClass::High } else { GpuClass::Mid };
    }
    // `Radeon 780M`, `Radeon 8060S`, `Radeon Graphics`, `Vega 8 Graphics`.
    let part_of_processor = words.iter().any(|word| {
        matches!(*word, "GRAPHICS" | "VEGA") || (word.ends_with(['M', 'S']) && leading_number(word).is_some())
    });
    match (part_of_processor, number) {
        (true, _) => GpuClass::Integrated,
        (false, Some(_)) => GpuClass::Low,
        (false, None) => GpuClass::Unknown,
    }
}

fn intel(words: &[&str]) -> GpuClass {
    if words.contains(&"MAX") && words.contains(&"GPU") {
        return GpuClass::Datacenter;
    }
    // `Arc A770`, `Arc B580`; the `Arc Graphics` and `Arc 140V` of a processor have no such number.
    let card = words.iter().find_map(|word| {
        let rest = word.strip_prefix(['A', 'B']).unwrap_or_default();
        leading_number(rest).filter(|number| *number >= 300)
    });
    match card {
        Some(number) if words.contains(&"ARC") => {
            if number >= 500 {
                GpuClass::Mid
            } else {
                GpuClass::Low
            }
        }
        _ => GpuClass::Integrated,
    }
}

fn apple(words: &[&str]) -> GpuClass {
    if !words.iter().any(|word| word.starts_with('M') && leading_number(&word[1..]).is_some()) {
        return GpuClass::Integrated;
    }
    // Memory is shared with the processor, and Max and Ultra have as much of it and as fast as a large card.
    match words.iter().find(|word| matches!(**word, "PRO" | "MAX" | "ULTRA")) {
        Some(&"PRO") => GpuClass::Mid,
        Some(_) => GpuClass::High,
        None => GpuClass::Integrated,
    }
}

/// Reads the digits that a text begins with.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}
