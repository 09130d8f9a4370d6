package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// Two questions need processes of their own: bytes measures the heap, and context changes the
// process for good. For these the program starts itself again, with the task in the environment.
// So it also works for the test binary, which has flags of its own.
const (
	childTask = "ZODIAC_BENCHMARK_TASK" // name of the task
	childArgs = "ZODIAC_BENCHMARK_ARGS" // its arguments as JSON
)

// child runs the task of that name in a process of its own and waits for it. It decodes the result,
// which the process prints as JSON, into found.
func (b *bench) child(task string, args, found any) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(args)
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childTask+"="+task, childArgs+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("child process %s %s: %w", task, text, err)
	}
	return json.Unmarshal(out, found)
}

// runIfChild runs the task in the environment and exits. If there is none, it returns.
func runIfChild() {
	var err error
	switch task := os.Getenv(childTask); task {
	case "":
		return
	case "bytes":
		err = answer(bytesChild)
	case "context":
		err = answer(contextChild)
	default:
		err = fmt.Errorf("no task %q", task)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// answer calls do with the arguments in the environment and prints the result.
func answer[A, F any](do func(A) (F, error)) error {
	var args A
	if err := json.Unmarshal([]byte(os.Getenv(childArgs)), &args); err != nil {
		return err
	}
	found, err := do(args)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
