# Kafka Connect with the sinks' plugins, from the same Maven coordinates as the native stack: jars only, so that the
# image is the same on amd64 and arm64. The context is the checkout; the classic builder must read it too.

FROM maven:3.9-eclipse-temurin-21 AS plugins
WORKDIR /src
COPY scripts/stack/servers scripts/stack/servers
COPY connectors/plugins connectors/plugins
# The goal and its version as in the native stack (scripts/stack/src/install/maven.rs); Maven puts each folder's name in.
RUN plugins=../../../connectors/plugins \
    && mvn --batch-mode --quiet --file scripts/stack/servers/pom.xml \
        --projects kafka,$plugins/debezium-connector-jdbc,$plugins/camel-elasticsearch,$plugins/apicurio-avro \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory='/fetched/${project.artifactId}'
# Every file is one that the native stack has locked, and none is missing.
RUN cd /fetched \
    && grep -E '^[0-9a-f]{64}  (kafka|debezium-connector-jdbc|camel-elasticsearch|apicurio-avro)/' /src/scripts/stack/servers/servers.lock > /locked \
    && sha256sum --check --quiet --strict /locked \
    && test "$(find . -type f | wc -l)" = "$(wc -l < /locked)"
# Debezium comes as an archive, with drivers of databases that are not ours.
RUN mkdir -p /out/plugins \
    && mv /fetched/kafka /out/kafka \
    && mv /fetched/camel-elasticsearch /fetched/apicurio-avro /out/plugins/ \
    && tar --extract --gzip --no-same-owner --directory /out/plugins --file /fetched/debezium-connector-jdbc/*.tar.gz \
    && cd /out/plugins/debezium-connector-jdbc \
    && rm -f mariadb-*.jar mssql-*.jar mysql-*.jar ojdbc*.jar
# Else `plugin.discovery=service_load` does not find the converter and Camel.
RUN java -cp '/out/kafka/*' org.apache.kafka.tools.ConnectPluginPath sync-manifests --plugin-path /out/plugins

FROM eclipse-temurin:21-jre
# curl is for the health check.
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin orderflow
COPY --from=plugins /out /opt/connect
COPY scripts/stack/images/connect /etc/connect
USER orderflow
WORKDIR /tmp
CMD ["java", "-Xmx512m", "-Xms128m", "-Duser.timezone=UTC", "-XX:+ExitOnOutOfMemoryError", \
    "-Dlog4j2.configurationFile=/etc/connect/log4j2.properties", \
    "-Djakarta.json.provider=org.eclipse.parsson.JsonProviderImpl", \
    "-cp", "/opt/connect/kafka/*", "org.apache.kafka.connect.cli.ConnectDistributed", "/etc/connect/worker.properties"]
