//! Outcomes: what became of the jobs that plugins had, for whoever adds them up over days.

use std::collections::HashMap;

use rekursing_protocol::PluginId;

/// What became of a plugin's jobs for strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Answers that came to their end.
    pub done: u64,
    /// Failures that were the plugin's own.
    pub failed: u64,
}

/// Outcomes since they were taken last, by plugin.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    plugins: HashMap<PluginId, Outcome>,
}

impl Outcomes {
    /// Counts an answer that came to its end.
    pub(crate) fn succeeded(&mut self, plugin: PluginId) {
        self.plugins.entry(plugin).or_default().done += 1;
    }

    /// Counts a failure.
    pub(crate) fn failed(&mut self, plugin: PluginId) {
        self.plugins.entry(plugin).or_default().failed += 1;
    }

    /// Takes what was counted.
    pub(crate) fn take(&mut self) -> Vec<(PluginId, Outcome)> {
        std::mem::take(&mut self.plugins).into_iter().collect()
    }
}
