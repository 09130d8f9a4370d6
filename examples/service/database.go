package main

import (
	"context"
	"sync"
	"time"
)

// A database stands for anything slow.
type database struct {
	mu    sync.Mutex // guards names
	names map[int64]string
}

func newDatabase() *database {
	return &database{names: map[int64]string{1: "Ada Lovelace"}}
}

func (d *database) user(_ context.Context, id int64) (User, error) {
	time.Sleep(50 * time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	name, ok := d.names[id]
	if !ok {
		return User{}, ErrNoUser
	}
	return User{ID: id, Name: name}, nil
}

func (d *database) rename(_ context.Context, id int64, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.names[id]; !ok {
		return ErrNoUser
	}
	d.names[id] = name
	return nil
}
