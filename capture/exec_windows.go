package capture

import (
	"os/exec"
	"strconv"
	"syscall"
)

func shell(command string) *exec.Cmd {
	cmd := exec.Command("cmd")
	// cmd has quoting rules of its own: it takes what follows /C as it is.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		CmdLine:       "cmd /C " + command,
		CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP,
	}
	return cmd
}

// terminate asks the command and its children to end.
func terminate(cmd *exec.Cmd) { taskkill(cmd, "/T") }

// kill ends them.
func kill(cmd *exec.Cmd) { taskkill(cmd, "/T", "/F") }

func taskkill(cmd *exec.Cmd, args ...string) {
	_ = exec.Command("taskkill", append(args, "/PID", strconv.Itoa(cmd.Process.Pid))...).Run()
}
