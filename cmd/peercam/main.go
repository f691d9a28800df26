// Command peercam sends a camera and a microphone to browsers over WebRTC.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// commandLine is flags, PEERCAM_* environment and YAML file at once.
type commandLine struct {
	Config    kong.ConfigFlag `help:"Read flags from this YAML file: a flag's name without the dashes is its key." placeholder:"FILE" env:"-"`
	LogLevel  string          `help:"Least level of what is logged to stderr: debug, info, warn, error." enum:"debug,info,warn,error" default:"info"`
	LogFormat string          `help:"How logs look: text or json." enum:"text,json" default:"text"`

	Share   shareCommand   `cmd:"" default:"withargs" help:"Share the camera: open it for whoever holds the link (the default)."`
	Serve   serveCommand   `cmd:"" help:"Run a signaling server with the viewer page, for cameras on other machines."`
	View    viewCommand    `cmd:"" help:"Watch a camera without a browser: record it, decode it for a player, show statistics."`
	Paste   pasteCommand   `cmd:"" help:"Share the camera without any server: texts are copied and pasted to and fro."`
	Devices devicesCommand `cmd:"" help:"List cameras and microphones."`
	Doctor  doctorCommand  `cmd:"" help:"Look at all that sharing needs, and say what to do about what is wrong."`
	Token   tokenCommand   `cmd:"" help:"Print the room token, which WHEP players and /snapshot ask for."`
	Version versionCommand `cmd:"" help:"Print the versions of peercam and its libraries."`
}

// environment is what a command touches of the process, so that tests can
// stand in for it.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is an error that the command line caused: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], environment{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

// run is the whole program but the process around it.
func run(ctx context.Context, args []string, env environment) int {
	if isTerminal(env.stderr) {
		env.stderr = &statusWriter{w: env.stderr}
	}
	var cli commandLine
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("peercam"),
		kong.Description("peercam sends this machine's camera and microphone to browsers.\n\n"+
			"Run it without arguments, open the link that it prints, and see the camera. "+
			"Flags can also be set by environment (PEERCAM_ROOM=kitchen) or in a YAML file (--config)."),
		kong.DefaultEnvars("PEERCAM"),
		kong.Configuration(yamlFlags),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(func(code int) { exited = code }),
	)
	if err != nil {
		fmt.Fprintln(env.stderr, "peercam:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "peercam: %v\nTry: peercam --help\n", err)
		return exitUsage
	}
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(env, newLog(env.stderr, cli.LogLevel, cli.LogFormat))
	err = k.Run()
	var wrong usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &wrong):
		fmt.Fprintln(env.stderr, "peercam:", err)
		return exitUsage
	default:
		fmt.Fprintln(env.stderr, "peercam:", err)
		return exitFailed
	}
}
