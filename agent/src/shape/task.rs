//! The scheduled task, as the XML that Task Scheduler registers.

/// The definition of the one-shot task: as SYSTEM, at every boot until the agent takes it off, with no time limit, on a
/// battery as well, never twice at a time. Started again where its process failed: three times, a minute apart.
pub(crate) fn definition(program: &str) -> String {
    let program = escape(program);
    format!(
        r#"<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Author>Windlass</Author><Description>Installs the staged updates; takes itself off when it is done.</Description></RegistrationInfo>
  <Triggers><BootTrigger><Enabled>true</Enabled></BootTrigger></Triggers>
  <Principals><Principal id="Author"><UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>false</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RestartOnFailure><Interval>PT1M</Interval><Count>3</Count></RestartOnFailure>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
  </Settings>
  <Actions Context="Author"><Exec><Command>{program}</Command><Arguments>task</Arguments></Exec></Actions>
</Task>"#
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_not_change_the_definition() {
        let xml = definition(r"C:\a & b\<x>\agent.exe");
        assert!(xml.contains(r"<Command>C:\a &amp; b\&lt;x&gt;\agent.exe</Command><Arguments>task</Arguments>"));
        assert!(xml.contains("<UserId>S-1-5-18</UserId>") && xml.contains("<BootTrigger>"));
        assert!(xml.contains("<ExecutionTimeLimit>PT0S<"), "an installation may take hours");
    }
}
