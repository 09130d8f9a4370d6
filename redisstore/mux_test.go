package redisstore

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/zodiac-go/zodiac/driver"
)

func TestSubscribeFailsIfTheServerDoesNotConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, server := net.Pipe() // nothing reads what the client sends
		defer silent.Close()
		client := redis.NewClient(&redis.Options{
			Dialer:                   func(context.Context, string, string) (net.Conn, error) { return silent, nil },
			ReadTimeout:              -1,
			WriteTimeout:             -1,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		defer client.Close()
		s := New(client)
		s.checked.Store(true)
		began := time.Now()
		_, err := s.Subscribe(t.Context(), func(driver.Invalidation) {})
		const want = "redisstore: the server sends nothing on the subscription"
		if took := time.Since(began); err == nil || err.Error() != want || took != confirmTimeout {
			t.Errorf("Subscribe = %v after %v; want %s after %v", err, took, want, confirmTimeout)
		}
		_ = server.Close()
		_ = s.Close()
	})
}
