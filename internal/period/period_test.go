package period

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given any
		want  time.Duration
		says  string // of the error; "" = none
	}{
		{"int", 60, time.Minute, ""},
		{"int64", int64(1), time.Second, ""},
		{"float", 1.5, 1500 * time.Millisecond, ""},
		{"duration", time.Hour, time.Hour, ""},
		{"forever", time.Duration(math.MaxInt64), math.MaxInt64, ""},
		{"shortest", 0.001, time.Millisecond, ""},
		{"most-whole-seconds", int64(9_223_372_036), 9_223_372_036 * time.Second, ""},
		{"shortest-duration", time.Millisecond, time.Millisecond, ""},
		{"zero", 0, 0, "0 is not a positive time"},
		{"zero-meaning-no-end", 0, 0, "for no end give zodiac.Forever"},
		{"zero-meaning-nothing", 0, 0, "use a context of zodiac.Bypass"},
		{"zero-duration", time.Duration(0), 0, "0s is not a positive time"},
		{"negative", -3, 0, "-3 is not a positive time"},
		{"negative-float", -0.5, 0, "-0.5 is not a positive time"},
		{"negative-too-many", int64(-9_223_372_037), 0, "is not a positive time"},
		{"least", int64(math.MinInt64), 0, "is not a positive time"},
		{"least-float", math.Inf(-1), 0, "is not a positive time"},
		{"not-a-number", math.NaN(), 0, "NaN"},
		{"infinite", math.Inf(1), 0, "more than a time.Duration holds; for no end give zodiac.Forever"},
		{"one-too-many", float64(1<<63) / 1e9, 0, "more than a time.Duration holds"},
		{"too-many", int64(9_223_372_037), 0, "more than a time.Duration holds; for no end give zodiac.Forever"},
		{"nanoseconds-by-mistake", time.Duration(60), 0, "60*time.Second"},
		{"too-short", 0.0001, 0, "less than a millisecond"},
		{"string", "1s", 0, "string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.given)
			if got != tt.want || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Parse = %v, %v; want %v, %q", got, err, tt.want, tt.says)
			}
		})
	}
}
