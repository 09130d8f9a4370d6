module github.com/zodiac-go/zodiac

go 1.26

require (
	github.com/jellydator/ttlcache/v3 v3.4.1
	pgregory.net/rapid v1.3.0
)

require golang.org/x/sync v0.16.0 // indirect
