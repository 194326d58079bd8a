//! The demo shows an answer, what it cost and what the owner earned.

use anyhow::Result;
use rekursing_tests::built;
use tokio::process::Command;

#[tokio::test]
async fn the_demo_without_a_window_prints_an_answer_and_its_receipt_and_ends() -> Result<()> {
    built::relay()?;
    let mut demo = Command::new(env!("CARGO_BIN_EXE_rekursing-demo"));
    let output = demo.args(["--headless", "--model"]).arg(built::model("tiny-chat.gguf")).output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for part in
        ["> Explain in one sentence", "Job              job_", "Cost             $0.", "Owner earned     $0."]
    {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    Ok(())
}
