package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// Some questions need a process to themselves: one measures the heap, one changes the process for good. The program
// starts itself again for them, with the task in the environment, so that the test binary can do it as well.
const (
	childTask = "ZODIAC_BENCHMARK_TASK"
	childArgs = "ZODIAC_BENCHMARK_ARGS"
)

// child runs the task of that name in a process of its own and decodes what it found into found.
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

// runIfChild does the task this process was started for, if any, and exits.
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

// answer prints what do finds for the arguments in the environment.
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
