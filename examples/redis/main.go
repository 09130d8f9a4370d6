// Command redis shows two instances of one program that share a cache in Redis. When both want a
// value, one of them fetches it. The other waits for that fetch. What one has fetched, both find in
// Redis. What one deletes is gone for both.
//
//	go run ./examples/redis
//	go run ./examples/redis -redis redis://localhost:6379
//
// Without -redis it starts a redis-server of its own and stops it at the end. To play the instances
// yourself, start each in a terminal of its own and type "set apple 2" and "get apple":
//
//	go run ./examples/redis -redis redis://localhost:6379 -dir /tmp -instance A
//	go run ./examples/redis -redis redis://localhost:6379 -dir /tmp -instance B
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	url := flag.String("redis", "", "`URL` of a Redis; by default, one is started")
	dir := flag.String("dir", "", "`folder` of the prices; by default, a new one")
	instance := flag.String("instance", "", "be the instance of this `name`, and carry out the input")
	flag.Parse()
	var err error
	if *instance != "" {
		err = serve(context.Background(), *instance, *url, *dir)
	} else {
		err = run(*url, *dir, os.Stdout)
	}
	if err != nil {
		log.Fatalf("redis: %v", err)
	}
}

// run starts two instances and tells them what to do.
func run(url, dir string, out io.Writer) (err error) {
	temp, err := os.MkdirTemp("", "zodiac-redis")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if dir == "" {
		dir = temp
	}
	if url == "" {
		server, err := startRedis(temp)
		if err != nil {
			return err
		}
		defer server.stop()
		url = server.url
	}
	a, err := startInstance("A", url, dir)
	if err != nil {
		return err
	}
	defer a.stop()
	b, err := startInstance("B", url, dir)
	if err != nil {
		return err
	}
	defer b.stop()
	return play(out, a, b)
}

// play has the instances do something, step by step.
func play(out io.Writer, a, b *instance) error {
	s := &stage{out: out}
	s.say("A and B are instances of one program. They share a cache in Redis.")
	s.say(fmt.Sprintf("The price of an item is in a file that takes %v to read.", slow))
	s.say("\nA sets the price of an apple to 2.")
	s.tell("set apple 2", a)
	s.say("\nBoth get it at the same time. One reads the file, and the other waits for it.")
	s.tell("get apple", a, b)
	s.say("\nB gets it again. Now it is in Redis.")
	s.tell("get apple", b)
	s.say("\nA sets the price to 3, which deletes it from Redis. B gets the new one.")
	s.tell("set apple 3", a)
	s.tell("get apple", b)
	return s.err
}

// A stage prints what happens.
type stage struct {
	out io.Writer
	err error // the first error; nothing is printed after it
}

func (s *stage) say(text string) {
	if s.err == nil {
		_, s.err = fmt.Fprintln(s.out, text)
	}
}

// tell sends a line to instances at the same time and prints the answer of each, a line too.
func (s *stage) tell(line string, to ...*instance) {
	for _, i := range to {
		i.tell(line)
	}
	for _, i := range to {
		answer, err := i.answer()
		s.err = errors.Join(s.err, err)
		s.say("  " + strings.TrimSpace(answer))
	}
}

// serve is an instance. It carries out its input line by line.
func serve(ctx context.Context, name, url, dir string) error {
	shop, err := newShop(ctx, name, url, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s: ready\n", name)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		text, err := shop.do(ctx, in.Text())
		if err != nil {
			text = err.Error()
		}
		fmt.Printf("%s: %s: %s\n", name, in.Text(), text)
	}
	return shop.close(ctx)
}
