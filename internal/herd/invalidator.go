package herd

import (
	"context"
	"errors"
	"sync"
	"time"
)

// playInvalidator is the invalidator's process. It writes and deletes each key of the scenario
// every Invalidate, in one goroutine per key, until the run is over.
func playInvalidator(ctx context.Context, o *orders, log *Log, ready func() (int64, error)) error {
	client := &originClient{address: o.Origin, proc: o.Proc}
	c, err := open(o.Mode, &o.Scenario, o.Redis, client.read)
	if err != nil {
		return err
	}
	begin, err := ready()
	if err != nil {
		return err
	}
	var keys sync.WaitGroup
	for key := range uint32(o.Scenario.Keys) {
		keys.Go(func() { invalidate(ctx, o, log, client, c, key, begin) })
	}
	keys.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(c.Close(closing), client.Close())
}

// invalidate writes and deletes one key until the run is over. The turns of the keys are spread
// evenly over the interval. A turn that is missed is not made up for.
func invalidate(
	ctx context.Context, o *orders, log *Log, client *originClient, c cache, key uint32, begin int64,
) {
	every := o.Scenario.Invalidate.Nanoseconds()
	at := begin + every*int64(key)/int64(o.Scenario.Keys)
	for until := begin + o.Scenario.Duration.Nanoseconds(); at < until && sleepUntil(ctx, at); {
		invalidateOnce(ctx, o, log, client, c, key)
		for now := Now(); at <= now; {
			at += every
		}
	}
}

// invalidateOnce writes a row and deletes its key. It logs the Delete. The origin logs the write.
// If the Scenario has Refreshes, it refreshes the key after every second write. Every eighth version it also reads the key, to see whether this process gets what it deleted.
func invalidateOnce(ctx context.Context, o *orders, log *Log, client *originClient, c cache, key uint32) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	a, err := client.ask(ctx, askWrite, key)
	if err != nil {
		return
	}
	if r, ok := c.(refresher); ok && o.Scenario.Refreshes != 0 && a.Value.Version%2 == 1 {
		log.Add(timed(Refreshed, key, func() (Value, error) { return r.Refresh(ctx, key) }))
		return
	}
	e := Event{Kind: Delete, Key: key, Version: a.Value.Version, Start: Now()}
	e.Code = code(c.Delete(ctx, key))
	e.End = Now()
	log.Add(e)
	if e.Version%8 == 0 {
		get(ctx, log, c, key)
	}
}
