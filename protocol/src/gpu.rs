//! A GPU as its owner's browser or system names it. A label, not evidence: what it can do is measured.

use serde::{Deserialize, Serialize};

/// What is known of an owner's GPU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gpu {
    /// Who made it: `NVIDIA`, `AMD`, `Apple`, `Intel`, `Qualcomm`, or empty when unknown.
    #[serde(default)]
    pub vendor: String,
    /// Its trade name: `GeForce RTX 4090`, or empty when unknown.
    #[serde(default)]
    pub model: String,
    /// How strong such a GPU is, by its name.
    #[serde(default)]
    pub class: GpuClass,
    /// The text that was read, at most 300 characters.
    #[serde(default)]
    pub raw: String,
}

/// How strong a GPU is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuClass {
    /// A data-centre card.
    Datacenter,
    /// A desktop card of the upper half of its generation.
    High,
    /// A desktop or laptop card.
    Mid,
    /// An old or small card.
    Low,
    /// Part of the processor.
    Integrated,
    /// No GPU at all: the processor draws (SwiftShader, llvmpipe, WARP).
    Software,
    /// Nothing in the name tells.
    #[default]
    Unknown,
}

impl Gpu {
    /// Returns the name for a reader: vendor and model, or what there is of them; a software renderer
    /// is named as what it is.
    pub fn name(&self) -> String {
        if self.class == GpuClass::Software {
            return format!("No GPU ({}, drawn by the processor)", self.model);
        }
        match (self.vendor.is_empty(), self.model.is_empty()) {
            (false, false) => format!("{} {}", self.vendor, self.model),
            (true, false) => self.model.clone(),
            (false, true) => self.vendor.clone(),
            (true, true) => "Unknown GPU".to_owned(),
        }
    }
}
