# shellcheck shell=bash
# The broker: one process that is broker and controller (KRaft), and Kafka's own tools.

kafka_java() {
  local heap=$1
  shift
  java "-Xmx$heap" -XX:TieredStopAtLevel="${KAFKA_JIT_TIER:-4}" \
    -Dlog4j2.configurationFile="$BED_DIR/kafka/log4j2.properties" "-Dweir.log.level=${KAFKA_LOG_LEVEL:-info}" \
    -cp "$(kafka_dir)/*" "$@"
}

# The listeners for pods exist when their bridge does: the broker binds no address but these two. Whoever comes in plain
# text, or without a certificate, may do everything; the others need ACLs.
kafka_properties() {
  local listeners=LOCAL://$KAFKA_LOCAL,TLS://$KAFKA_TLS,MTLS://$KAFKA_MTLS,SASL://$KAFKA_SASL
  if bridge_exists; then listeners+=,PODS://$KAFKA_FOR_PODS,SASLPODS://$KAFKA_SASL_FOR_PODS; fi
  cat <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$KAFKA_CONTROLLER
controller.listener.names=CONTROLLER
listeners=$listeners,CONTROLLER://$KAFKA_CONTROLLER
advertised.listeners=$listeners
listener.security.protocol.map=LOCAL:PLAINTEXT,PODS:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,MTLS:SSL,SASL:SASL_SSL,SASLPODS:SASL_SSL
inter.broker.listener.name=LOCAL
log.dirs=$RUN/kafka/data
ssl.keystore.type=PEM
ssl.keystore.location=$KAFKA_PKI/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=$KAFKA_PKI/authority.crt
listener.name.mtls.ssl.client.auth=required
$(kafka_logins sasl)
$(kafka_logins saslpods)
TEXT
  cat "$BED_DIR/kafka/single-node.properties"
}

# Users with PLAIN are written here; those with SCRAM are made in the broker.
kafka_logins() {
  local listener=listener.name.$1 modules=org.apache.kafka.common.security
  cat <<TEXT
$listener.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
$listener.plain.sasl.jaas.config=$modules.plain.PlainLoginModule required user_plain-user="plain-secret";
$listener.scram-sha-256.sasl.jaas.config=$modules.scram.ScramLoginModule required;
$listener.scram-sha-512.sasl.jaas.config=$modules.scram.ScramLoginModule required;
TEXT
}

# Starts the broker, or restarts it when its listeners have to change.
start_kafka() {
  local properties=$RUN/kafka/server.properties
  mkdir -p "$RUN/kafka"
  make_kafka_certificates
  kafka_properties >"$properties.new"
  if running kafka && cmp --silent "$properties" "$properties.new"; then return 0; fi
  stop kafka "$((DEADLINE_STOP / 2))"
  mv "$properties.new" "$properties"
  if port_open "$KAFKA_LOCAL"; then
    echo "something else listens on $KAFKA_LOCAL"
    return 1
  fi
  if [[ ! -e $RUN/kafka/data/meta.properties ]]; then
    kafka_java 256m kafka.tools.StorageTool format --cluster-id weirTestBedKafka000001 --config "$properties"
  fi
  spawn kafka java -Xms512m -Xmx1g -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile="$BED_DIR/kafka/log4j2.properties" \
    -cp "$(kafka_dir)/*" kafka.Kafka "$properties"
}

# The broker says this line when the controller has unfenced it and requests are served.
kafka_serves() { grep -q 'Kafka Server started' "$LOGS/kafka.log" && port_open "$KAFKA_LOCAL"; }

kafka_ready() { wait_for kafka kafka_serves; }

start_kafka_whole() {
  start_kafka
  kafka_ready
}

kill_kafka() {
  signal kafka KILL
  until_true "$LOGS/kafka.log" gone kafka
}

# kafka_tool <class> [argument]...: short-lived, so no time is spent on optimising code.
kafka_tool() {
  local class=$1
  shift
  KAFKA_JIT_TIER=1 KAFKA_LOG_LEVEL=${KAFKA_LOG_LEVEL:-error} kafka_java 256m "$class" --bootstrap-server "${KAFKA:-$KAFKA_LOCAL}" "$@"
}

topics_create() {
  local topic partitions
  for topic in "$@"; do
    partitions=1
    [[ $topic == *:* ]] && partitions=${topic##*:}
    kafka_tool org.apache.kafka.tools.TopicCommand --create --if-not-exists \
      --topic "${topic%%:*}" --partitions "$partitions" --replication-factor 1
  done
}

# topics_delete <name>...: those that exist; the tool takes a pattern.
topics_delete() {
  local pattern
  pattern=$(IFS='|' && echo "${*//./\\.}")
  kafka_tool org.apache.kafka.tools.TopicCommand --delete --if-exists --topic "$pattern"
}

# kafka_user <name> <password>: a user of SCRAM-SHA-512, made or changed, that may do everything.
kafka_user() {
  local name=$1 password=$2 all=(--operation All --topic '*' --group '*' --transactional-id '*' --cluster)
  kafka_tool kafka.admin.ConfigCommand --alter --entity-type users --entity-name "$name" \
    --add-config "SCRAM-SHA-512=[password=$password]"
  kafka_tool org.apache.kafka.tools.AclCommand --add --force --allow-principal "User:$name" "${all[@]}" >/dev/null
}

produce() {
  local topic=$1 separator=${2:-} keys=()
  [[ -n $separator ]] && keys=(--property parse.key=true --property "key.separator=$separator")
  kafka_tool org.apache.kafka.tools.ConsoleProducer --topic "$topic" "${keys[@]}"
}

# consume <topic> [records]: fails when fewer records came than were asked for.
consume() {
  local topic=$1 wanted=${2:-0} limit=()
  ((wanted > 0)) && limit=(--max-messages "$wanted")
  # The tool reports its own idle timeout as an error: whether that is one is decided here.
  KAFKA_LOG_LEVEL=fatal kafka_tool org.apache.kafka.tools.consumer.ConsoleConsumer \
    --topic "$topic" --from-beginning --isolation-level read_committed \
    --property print.key=true --timeout-ms 5000 "${limit[@]}" |
    awk -v wanted="$wanted" '{ print } END { exit NR < wanted ? 1 : 0 }' ||
    fail "fewer than $wanted records in $topic"
}
