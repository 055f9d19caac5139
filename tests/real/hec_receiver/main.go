// The OpenTelemetry Collector's Splunk HEC receiver on its own (no collector service), one JSON line per event to -out.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/ackextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func main() {
	addr := flag.String("listen", "127.0.0.1:18088", "")
	out := flag.String("out", "hec.jsonl", "")
	token := flag.String("token", "", "HEC token; empty: none asked")
	ack := flag.Bool("ack", true, "indexer acknowledgement")
	cert := flag.String("cert", "", "")
	key := flag.String("key", "", "")
	clientCA := flag.String("client-ca", "", "client certificates required")
	fail := flag.Int64("fail-first", 0, "answer 500 to this many requests first")
	keepAlive := flag.Bool("keep-alive", true, "")
	flag.Parse()

	ctx := context.Background()
	zl := must(zap.NewProduction(zap.IncreaseLevel(zap.WarnLevel)))
	tel := component.TelemetrySettings{Logger: zl, TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(), Resource: pcommon.NewResource()}
	h := host{}
	add := func(f extension.Factory, edit func(component.Config)) component.ID {
		cfg := f.CreateDefaultConfig()
		if edit != nil {
			edit(cfg)
		}
		id := component.NewID(f.Type())
		e := must(f.Create(ctx, extension.Settings{ID: id, TelemetrySettings: tel}, cfg))
		if err := e.Start(ctx, h); err != nil {
			log.Fatal(err)
		}
		h[id] = e
		return id
	}

	f := splunkhecreceiver.NewFactory()
	cfg := f.CreateDefaultConfig().(*splunkhecreceiver.Config)
	cfg.ServerConfig.NetAddr.Endpoint = *addr
	cfg.ServerConfig.KeepAlivesEnabled = *keepAlive //nolint:staticcheck
	if *token != "" {
		id := add(bearertokenauthextension.NewFactory(), func(c component.Config) {
			b := c.(*bearertokenauthextension.Config)
			b.Scheme, b.BearerToken = "Splunk", configopaque.String(*token)
		})
		cfg.ServerConfig.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: id}})
	}
	if *ack {
		id := add(ackextension.NewFactory(), nil)
		cfg.Ack.Extension = &id
	}
	if *cert != "" {
		cfg.ServerConfig.TLS = configoptional.Some(configtls.ServerConfig{Config: configtls.Config{CertFile: *cert, KeyFile: *key}, ClientCAFile: *clientCA})
	}

	w := must(os.OpenFile(*out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644))
	var mu sync.Mutex
	var left atomic.Int64
	left.Store(*fail)
	sink := must(consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		if left.Add(-1) >= 0 {
			return fmt.Errorf("refused on purpose")
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					m := map[string]any{"event": r.Body().AsRaw()}
					for k, v := range rl.Resource().Attributes().All() {
						m[map[string]string{"host.name": "host", "com.splunk.source": "source", "com.splunk.sourcetype": "sourcetype", "com.splunk.index": "index"}[k]] = v.AsRaw()
					}
					if r.Timestamp() != 0 {
						m["time"] = float64(r.Timestamp()) / 1e9
					}
					if r.Attributes().Len() > 0 {
						m["fields"] = r.Attributes().AsRaw()
					}
					b, _ := json.Marshal(m)
					if _, err := w.Write(append(b, '\n')); err != nil {
						return err
					}
				}
			}
		}
		return w.Sync()
	}))
	r := must(f.CreateLogs(ctx, receiver.Settings{ID: component.NewID(f.Type()), TelemetrySettings: tel}, cfg, sink))
	if err := r.Start(ctx, h); err != nil {
		log.Fatal(err)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	// Standard input is a pipe from the test: the receiver ends with it, however that ends.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		c <- syscall.SIGTERM
	}()
	<-c
	_ = r.Shutdown(ctx)
}
