// Command probe shows that a pod reaches Kafka: it writes records to a topic of its own, reads them
// back, deletes the topic, and only then answers on its HTTP port, which is what makes its pod Ready.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	records  = 100
	deadline = 60 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	broker := os.Getenv("KAFKA")
	if broker == "" {
		return errors.New("KAFKA is not set")
	}
	started := time.Now()
	if err := roundTrip(ctx, broker, fmt.Sprintf("bed-probe-%d", started.UnixNano())); err != nil {
		return fmt.Errorf("round trip through %s: %w", broker, err)
	}
	log.Printf("wrote and read %d records through %s in %s", records, broker, time.Since(started))
	return serve(ctx)
}

// roundTrip writes the records and returns when each came back in order.
func roundTrip(ctx context.Context, broker, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return fmt.Errorf("open a client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	for i := range records {
		record := &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(i))}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("write record %d: %w", i, err)
		}
	}
	if err := readBack(ctx, client); err != nil {
		return err
	}
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	return nil
}

func readBack(ctx context.Context, client *kgo.Client) error {
	for next := 0; next < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read after %d records: %w", next, err)
		}
		for _, record := range fetches.Records() {
			if string(record.Value) != strconv.Itoa(next) {
				return fmt.Errorf("record %d came back as %q", next, record.Value)
			}
			next++
		}
	}
	return nil
}

func serve(ctx context.Context) error {
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second}
	server.Handler = http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(response, "ok")
	})
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", server.Addr, err)
	}
	return nil
}
