// Command redis shows two instances of one program that share a cache in Redis: what one has fetched the other finds, both
// wait for one fetch, and what one changes is gone for both.
//
//	go run ./examples/redis
//	go run ./examples/redis -redis redis://localhost:6379
//
// Without -redis it starts a redis-server of its own, which goes with it. To play the instances yourself, start two, in two
// terminals, and type "get apple" and "set apple 3":
//
//	go run ./examples/redis -redis redis://localhost:6379 -dir /tmp/prices -instance A
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
	instance := flag.String("instance", "", "be the instance of this `name`, and do what is typed")
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

// play is what happens.
func play(out io.Writer, a, b *instance) error {
	s := &stage{out: out}
	s.tell("set apple 2", a)
	s.say("Both ask for a price at once. One of them fetches it:")
	s.tell("get apple", a, b)
	s.say("From now on it is in Redis:")
	s.tell("get apple", b)
	s.say("One changes the price, and deletes it from the cache. The other gets the new one:")
	s.tell("set apple 3", a)
	s.tell("get apple", b)
	return s.err
}

// A stage shows what instances say.
type stage struct {
	out io.Writer
	err error // the first; nothing is said after it
}

func (s *stage) say(text string) {
	if s.err == nil {
		_, s.err = fmt.Fprintln(s.out, text)
	}
}

// tell tells instances the same at the same time. Each answers with a line.
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

// serve is an instance: it does what its input says, line by line.
func serve(ctx context.Context, name, url, dir string) error {
	shop, err := newShop(url, dir)
	if err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		text, err := shop.do(ctx, in.Text())
		if err != nil {
			text = err.Error()
		}
		fmt.Printf("%s: %s: %s\n", name, in.Text(), text)
	}
	return shop.close(ctx)
}
