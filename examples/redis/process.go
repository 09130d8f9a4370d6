package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// An instance is this program, started again.
type instance struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startInstance returns when the instance is ready for its input.
func startInstance(name, url, dir string) (*instance, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	i := &instance{cmd: exec.Command(self, "-instance", name, "-redis", url, "-dir", dir)}
	i.cmd.Stderr = os.Stderr
	if i.in, err = i.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := i.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	i.out = bufio.NewReader(out)
	if err := i.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := i.answer(); err != nil {
		i.stop()
		return nil, fmt.Errorf("instance %s has not started: %w", name, err)
	}
	return i, nil
}

func (i *instance) tell(line string) { _, _ = fmt.Fprintln(i.in, line) }

func (i *instance) answer() (string, error) { return i.out.ReadString('\n') }

// stop ends the instance's input, and so the instance.
func (i *instance) stop() {
	_ = i.in.Close()
	_ = i.cmd.Wait()
}

// A server is a redis-server that saves nothing and listens on a socket in a folder.
type server struct {
	url string
	cmd *exec.Cmd
}

func startRedis(dir string) (*server, error) {
	socket := filepath.Join(dir, "redis.sock")
	s := &server{
		url: "unix://" + socket,
		cmd: exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no"),
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; install redis-server, or give -redis", err)
	}
	for range 500 {
		if _, err := os.Stat(socket); err == nil {
			return s, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.stop()
	return nil, errors.New("redis-server does not start")
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
