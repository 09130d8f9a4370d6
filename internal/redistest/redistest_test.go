package redistest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/internal/redistest"
)

// TestMain runs the tests. With REDISTEST_CHILD set, it is instead the program that starts a server
// and that TestServerEndsWithTheProcessThatStartedIt kills.
func TestMain(m *testing.M) {
	if os.Getenv("REDISTEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	s, err := redistest.Launch(context.Background(), os.Getenv("REDISTEST_CHILD"))
	if err != nil {
		panic(err)
	}
	fmt.Println(s.PID)
	select {}
}

// say sends one inline command and returns the first line of the reply.
func say(t *testing.T, s *redistest.Server, command string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

// expect fails the test unless the first line of the reply to command is want.
func expect(t *testing.T, s *redistest.Server, command, want string) {
	t.Helper()
	if got, err := say(t, s, command); got != want {
		t.Errorf("%s = %q, %v; want %q", command, got, err, want)
	}
}

func TestRestartKeepsThePortAndLosesTheData(t *testing.T) {
	s := redistest.Start(t, "--maxmemory", "20mb")
	expect(t, s, "SET k v", "+OK")
	addr := s.Addr()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr {
		t.Errorf("Addr after Restart = %s; want %s, as before", s.Addr(), addr)
	}
	expect(t, s, "EXISTS k", ":0")
	expect(t, s, "CONFIG GET maxmemory", "*2")
}

func TestStoppedServerIsSilentUntilContinued(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if got, err := say(t, s, "PING"); err == nil {
		t.Errorf("a stopped server replies %q; want nothing", got)
	}
	if err := s.Cont(); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "PING", "+PONG")
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	_, err := redistest.Launch(t.Context(), "", "--maxmemory", "much")
	if err == nil || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("Launch = %v; want the server's own error", err)
	}
}

func TestMissingServerSaysHowToInstallIt(t *testing.T) {
	t.Setenv("PATH", "")
	_, err := redistest.Launch(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("Launch = %v; want how to install redis-server", err)
	}
}

func TestServerEndsWithTheProcessThatStartedIt(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "REDISTEST_CHILD="+t.TempDir())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for deadline := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the server outlives the process that started it")
		}
	}
}

// alive reports whether a process runs. A zombie, which has ended but has not been waited for, does
// not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
