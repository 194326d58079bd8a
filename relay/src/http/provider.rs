//! A provider as pages see it.

use rekursing_market::Assignment;
use serde_json::{Value, json};

use crate::desk::Desk;

/// Returns who answers a job: id, name, GPU, model, quantisation, and whether it runs in a browser.
pub(crate) fn view(desk: &Desk, assignment: &Assignment) -> Value {
    let face = desk.face(assignment.session);
    json!({
        "id": assignment.plugin,
        "name": face.as_ref().map(|face| &*face.name).unwrap_or_default(),
        "gpu": face.as_ref().map(|face| face.gpu.name()),
        "model": assignment.offer.model,
        "quantization": assignment.offer.quantization,
        "browser": assignment.offer.browser,
    })
}
